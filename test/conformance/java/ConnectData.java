import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;

/**
 * Connect data as JSON in which nothing is lost: every value carries its Java type, 64-bit numbers are text and
 * floating point numbers are their bits. `wire.ts` is the other end.
 */
final class ConnectData {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  private ConnectData() {}

  static Schema schema(JsonNode node) {
    if (node == null || node.isNull()) return null;
    Schema.Type type = Schema.Type.valueOf(node.get("type").asText());
    SchemaBuilder builder =
        switch (type) {
          case ARRAY -> SchemaBuilder.array(schema(node.get("values")));
          case MAP -> SchemaBuilder.map(schema(node.get("keys")), schema(node.get("values")));
          default -> new SchemaBuilder(type);
        };
    if (type == Schema.Type.STRUCT) {
      for (JsonNode field : node.get("fields")) builder.field(field.get(0).asText(), schema(field.get(1)));
    }
    if (node.path("optional").asBoolean()) builder.optional();
    if (node.hasNonNull("name")) builder.name(node.get("name").asText());
    if (node.hasNonNull("version")) builder.version(node.get("version").asInt());
    if (node.hasNonNull("doc")) builder.doc(node.get("doc").asText());
    for (JsonNode parameter : node.path("parameters")) {
      builder.parameter(parameter.get(0).asText(), parameter.get(1).asText());
    }
    // A struct default belongs to the schema without it, as JsonConverter makes it.
    if (node.hasNonNull("default")) builder.defaultValue(value(builder.build(), node.get("default")));
    return builder.build();
  }

  static JsonNode json(Schema schema) {
    if (schema == null) return NODES.nullNode();
    ObjectNode node = NODES.objectNode();
    node.put("type", schema.type().name());
    node.put("optional", schema.isOptional());
    node.put("name", schema.name());
    node.put("version", schema.version());
    node.put("doc", schema.doc());
    ArrayNode parameters = node.putArray("parameters");
    if (schema.parameters() != null) {
      schema.parameters().forEach((key, value) -> parameters.addArray().add(key).add(value));
    }
    node.set("default", json(schema.defaultValue()));
    node.set("keys", schema.type() == Schema.Type.MAP ? json(schema.keySchema()) : NODES.nullNode());
    boolean hasValues = schema.type() == Schema.Type.MAP || schema.type() == Schema.Type.ARRAY;
    node.set("values", hasValues ? json(schema.valueSchema()) : NODES.nullNode());
    ArrayNode fields = node.putArray("fields");
    if (schema.type() == Schema.Type.STRUCT) {
      for (Field field : schema.fields()) fields.add(NODES.arrayNode().add(field.name()).add(json(field.schema())));
    }
    return node;
  }

  /** A value; `schema` is needed for structs, which do not name theirs. */
  static Object value(Schema schema, JsonNode node) {
    if (node == null || node.isNull()) return null;
    JsonNode content = node.get(1);
    return switch (node.get(0).asText()) {
      case "bool" -> content.asBoolean();
      case "i8" -> (byte) content.asInt();
      case "i16" -> (short) content.asInt();
      case "i32" -> content.asInt();
      case "i64" -> Long.parseLong(content.asText());
      case "f32" -> Float.intBitsToFloat(Integer.parseUnsignedInt(content.asText(), 16));
      case "f64" -> Double.longBitsToDouble(Long.parseUnsignedLong(content.asText(), 16));
      case "str" -> content.asText();
      case "bytes" -> Base64.getDecoder().decode(content.asText());
      case "dec" -> new BigDecimal(new BigInteger(content.asText()), node.get(2).asInt());
      case "date" -> new Date(Long.parseLong(content.asText()));
      case "list" -> list(schema, content);
      case "map" -> map(schema, content);
      case "struct" -> struct(node.has(2) ? schema(node.get(2)) : schema, content);
      default -> throw new IllegalArgumentException("unknown value type " + node.get(0));
    };
  }

  private static Schema valueSchemaOf(Schema schema) {
    boolean nested = schema != null && (schema.type() == Schema.Type.ARRAY || schema.type() == Schema.Type.MAP);
    return nested ? schema.valueSchema() : null;
  }

  private static List<Object> list(Schema schema, JsonNode items) {
    List<Object> list = new ArrayList<>();
    for (JsonNode item : items) list.add(value(valueSchemaOf(schema), item));
    return list;
  }

  private static Map<Object, Object> map(Schema schema, JsonNode entries) {
    Schema keys = schema != null && schema.type() == Schema.Type.MAP ? schema.keySchema() : null;
    // Keeps the order that the other side sees.
    Map<Object, Object> map = new LinkedHashMap<>();
    for (JsonNode entry : entries) map.put(value(keys, entry.get(0)), value(valueSchemaOf(schema), entry.get(1)));
    return map;
  }

  private static Struct struct(Schema schema, JsonNode values) {
    Struct struct = new Struct(schema);
    List<Field> fields = schema.fields();
    for (int i = 0; i < fields.size(); i++) {
      Object value = value(fields.get(i).schema(), values.get(i));
      // A required field that is left out is the converter's to refuse.
      if (value != null) struct.put(fields.get(i), value);
    }
    return struct;
  }

  static JsonNode json(Object value) {
    if (value == null) return NODES.nullNode();
    ArrayNode node = NODES.arrayNode();
    if (value instanceof Boolean v) return node.add("bool").add(v.booleanValue());
    if (value instanceof Byte v) return node.add("i8").add(v.intValue());
    if (value instanceof Short v) return node.add("i16").add(v.intValue());
    if (value instanceof Integer v) return node.add("i32").add(v.intValue());
    if (value instanceof Long v) return node.add("i64").add(v.toString());
    if (value instanceof Float v) return node.add("f32").add(Integer.toHexString(Float.floatToIntBits(v)));
    if (value instanceof Double v) return node.add("f64").add(Long.toHexString(Double.doubleToLongBits(v)));
    if (value instanceof String v) return node.add("str").add(v);
    if (value instanceof byte[] v) return node.add("bytes").add(Base64.getEncoder().encodeToString(v));
    if (value instanceof ByteBuffer v) {
      byte[] copy = new byte[v.remaining()];
      v.duplicate().get(copy);
      return node.add("bytes").add(Base64.getEncoder().encodeToString(copy));
    }
    if (value instanceof BigDecimal v) return node.add("dec").add(v.unscaledValue().toString()).add(v.scale());
    if (value instanceof BigInteger v) return node.add("dec").add(v.toString()).add(0);
    if (value instanceof Date v) return node.add("date").add(Long.toString(v.getTime()));
    if (value instanceof List<?> v) {
      ArrayNode items = NODES.arrayNode();
      for (Object item : v) items.add(json(item));
      return node.add("list").add(items);
    }
    if (value instanceof Map<?, ?> v) {
      ArrayNode entries = NODES.arrayNode();
      v.forEach((key, item) -> entries.add(NODES.arrayNode().add(json(key)).add(json(item))));
      return node.add("map").add(entries);
    }
    if (value instanceof Struct v) {
      ArrayNode values = NODES.arrayNode();
      for (Field field : v.schema().fields()) values.add(json(v.getWithoutDefault(field.name())));
      return node.add("struct").add(values);
    }
    throw new IllegalArgumentException("no Connect value: " + value.getClass());
  }
}
