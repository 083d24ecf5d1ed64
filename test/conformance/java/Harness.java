import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.function.BiFunction;
import org.apache.kafka.common.Configurable;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * Runs Java plugins on data from outside: each line of standard input is a JSON array of jobs, each line of standard
 * output the array of their answers. The jobs are described by `harness.ts`.
 */
public final class Harness {
  private final ObjectMapper mapper =
      JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();
  private final Map<String, Object> plugins = new HashMap<>();

  public static void main(String[] args) throws Exception {
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Whatever a library prints must not come between the answers.
    System.setOut(System.err);
    BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Harness harness = new Harness();
    for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
      answers.println(harness.answerAll(line));
      answers.flush();
    }
  }

  private String answerAll(String line) throws Exception {
    ArrayNode answers = mapper.createArrayNode();
    for (JsonNode job : mapper.readTree(line)) {
      try {
        answers.add(answer(job));
      } catch (Throwable error) {
        ObjectNode answer = mapper.createObjectNode();
        answer.set("error", describe(error));
        answers.add(answer);
      }
    }
    return mapper.writeValueAsString(answers);
  }

  private ObjectNode describe(Throwable error) {
    ObjectNode node = mapper.createObjectNode();
    node.put("class", error.getClass().getName());
    node.put("message", error.getMessage());
    if (error.getCause() != null && error.getCause() != error) node.set("cause", describe(error.getCause()));
    return node;
  }

  private ObjectNode answer(JsonNode job) throws Exception {
    ObjectNode answer = mapper.createObjectNode();
    switch (job.get("op").asText()) {
      case "make" -> plugins.put(job.get("plugin").asText(), make(job));
      case "fromConnect" -> {
        Schema schema = ConnectData.schema(job.get("schema"));
        Object value = ConnectData.value(schema, job.get("value"));
        answer.put("bytes", encoded(fromConnect(plugin(job), topic(job), schema, value)));
      }
      case "toConnect" -> put(answer, toConnect(plugin(job), topic(job), bytes(job)));
      case "apply" -> answer.set("record", json(apply(plugin(job), record(job.get("record")))));
      case "test" -> answer.put("result", test(plugin(job), record(job.get("record"))));
      case "avro" -> answer.put("bytes", encoded(avro().apply(job.get("schema").asText(), bytes(job))));
      case "bench" -> bench(job, answer);
      default -> throw new IllegalArgumentException("unknown operation " + job.get("op"));
    }
    return answer;
  }

  /** Compiled only where Avro's library is there. */
  @SuppressWarnings("unchecked")
  private static BiFunction<String, byte[], byte[]> avro() throws ReflectiveOperationException {
    return (BiFunction<String, byte[], byte[]>) Class.forName("AvroPeer").getDeclaredConstructor().newInstance();
  }

  private Object make(JsonNode job) throws Exception {
    Map<String, String> config = new HashMap<>();
    JsonNode options = job.get("config");
    options.fieldNames().forEachRemaining(
        name -> config.put(name, options.get(name).isNull() ? null : options.get(name).asText()));
    Object plugin = Class.forName(job.get("class").asText()).getDeclaredConstructor().newInstance();
    boolean asHeader = job.path("role").asText().equals("header");
    if (plugin instanceof Converter converter && !asHeader) {
      converter.configure(config, job.path("role").asText().equals("key"));
      return new AsConverter(converter);
    }
    ((Configurable) plugin).configure(config);
    return plugin;
  }

  /** A class that is converter and header converter is made for one of the two. */
  private record AsConverter(Converter converter) {}

  private Object plugin(JsonNode job) {
    Object plugin = plugins.get(job.get("plugin").asText());
    if (plugin == null) throw new IllegalArgumentException("no plugin " + job.get("plugin"));
    return plugin;
  }

  private static String topic(JsonNode job) {
    return job.path("topic").asText("t");
  }

  private static byte[] fromConnect(Object plugin, String topic, Schema schema, Object value) {
    if (plugin instanceof AsConverter as) return as.converter.fromConnectData(topic, schema, value);
    return ((HeaderConverter) plugin).fromConnectHeader(topic, "h", schema, value);
  }

  private static SchemaAndValue toConnect(Object plugin, String topic, byte[] bytes) {
    if (plugin instanceof AsConverter as) return as.converter.toConnectData(topic, bytes);
    return ((HeaderConverter) plugin).toConnectHeader(topic, "h", bytes);
  }

  private static byte[] bytes(JsonNode job) {
    return job.get("bytes").isNull() ? null : Base64.getDecoder().decode(job.get("bytes").asText());
  }

  private static String encoded(byte[] bytes) {
    return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
  }

  private static void put(ObjectNode answer, SchemaAndValue read) {
    // SimpleHeaderConverter gives nothing at all for a null, which counts as one.
    SchemaAndValue data = read == null ? SchemaAndValue.NULL : read;
    answer.set("schema", ConnectData.json(data.schema()));
    answer.set("value", ConnectData.json(data.value()));
    answer.put("valid", isValid(data));
  }

  /** Whether data fits its own schema: SimpleHeaderConverter gives lists whose elements do not. */
  private static boolean isValid(SchemaAndValue data) {
    try {
      if (data.schema() != null) ConnectSchema.validateValue(data.schema(), data.value());
      return true;
    } catch (RuntimeException error) {
      return false;
    }
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static ConnectRecord<?> apply(Object plugin, ConnectRecord<?> record) {
    return (ConnectRecord<?>) ((Transformation) plugin).apply(record);
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static boolean test(Object plugin, ConnectRecord<?> record) {
    return ((Predicate) plugin).test(record);
  }

  private static ConnectRecord<?> record(JsonNode node) {
    Schema keySchema = ConnectData.schema(node.get("keySchema"));
    Schema valueSchema = ConnectData.schema(node.get("valueSchema"));
    Object key = ConnectData.value(keySchema, node.get("key"));
    Object value = ConnectData.value(valueSchema, node.get("value"));
    String topic = node.get("topic").asText();
    Integer partition = node.hasNonNull("partition") ? node.get("partition").asInt() : null;
    Long timestamp = node.hasNonNull("timestamp") ? Long.valueOf(node.get("timestamp").asText()) : null;
    ConnectHeaders headers = new ConnectHeaders();
    for (JsonNode header : node.path("headers")) {
      Schema schema = ConnectData.schema(header.get("schema"));
      Object item = ConnectData.value(schema, header.get("value"));
      headers.add(header.get("key").asText(), new SchemaAndValue(schema, item));
    }
    if (!node.hasNonNull("offset")) {
      return new SourceRecord(
          Map.of("p", 1), Map.of("o", 1L), topic, partition, keySchema, key, valueSchema, value, timestamp, headers);
    }
    long offset = Long.parseLong(node.get("offset").asText());
    int sinkPartition = partition == null ? 0 : partition;
    return new SinkRecord(
        topic, sinkPartition, keySchema, key, valueSchema, value, offset, timestamp, TimestampType.CREATE_TIME, headers);
  }

  private JsonNode json(ConnectRecord<?> record) {
    if (record == null) return mapper.nullNode();
    ObjectNode node = mapper.createObjectNode();
    node.put("topic", record.topic());
    node.put("partition", record.kafkaPartition());
    node.set("keySchema", ConnectData.json(record.keySchema()));
    node.set("key", ConnectData.json(record.key()));
    node.set("valueSchema", ConnectData.json(record.valueSchema()));
    node.set("value", ConnectData.json(record.value()));
    node.put("timestamp", record.timestamp() == null ? null : record.timestamp().toString());
    node.put("offset", record instanceof SinkRecord sink ? Long.toString(sink.kafkaOffset()) : null);
    ArrayNode headers = node.putArray("headers");
    for (Header header : record.headers()) {
      ObjectNode item = headers.addObject();
      item.put("key", header.key());
      item.set("schema", ConnectData.json(header.schema()));
      item.set("value", ConnectData.json(header.value()));
    }
    return node;
  }

  /** One call per input in turn, inputs decoded beforehand, so that only the plugin is measured. */
  private interface Call {
    Object run(int index) throws Exception;
  }

  private void bench(JsonNode job, ObjectNode answer) throws Exception {
    JsonNode inputs = job.get("inputs");
    Call call = callOf(job, inputs);
    long deadline = System.nanoTime() + job.get("warmUpMs").asLong() * 1_000_000;
    int count = inputs.size();
    long sink = 0;
    while (System.nanoTime() < deadline) for (int i = 0; i < count; i++) sink += System.identityHashCode(call.run(i));
    OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long calls = 0;
    deadline = System.nanoTime() + job.get("measureMs").asLong() * 1_000_000;
    for (; System.nanoTime() < deadline; calls += count) {
      for (int i = 0; i < count; i++) sink += System.identityHashCode(call.run(i));
    }
    answer.put("calls", calls);
    // Of the whole process: garbage collection and compilation are part of what a record costs.
    answer.put("cpuNs", system.getProcessCpuTime() - cpu);
    answer.put("sink", Long.toString(sink));
  }

  private Call callOf(JsonNode job, JsonNode inputs) {
    int count = inputs.size();
    Object plugin = plugin(job);
    String topic = topic(job);
    switch (job.get("call").asText()) {
      case "fromConnect": {
        Schema schema = ConnectData.schema(job.get("schema"));
        Object[] values = new Object[count];
        for (int i = 0; i < count; i++) values[i] = ConnectData.value(schema, inputs.get(i));
        return i -> fromConnect(plugin, topic, schema, values[i]);
      }
      case "toConnect": {
        byte[][] bytes = new byte[count][];
        for (int i = 0; i < count; i++) bytes[i] = Base64.getDecoder().decode(inputs.get(i).asText());
        return i -> toConnect(plugin, topic, bytes[i]);
      }
      case "apply": {
        ConnectRecord<?>[] records = new ConnectRecord<?>[count];
        for (int i = 0; i < count; i++) records[i] = record(inputs.get(i));
        return i -> apply(plugin, records[i]);
      }
      default:
        throw new IllegalArgumentException("unknown call " + job.get("call"));
    }
  }
}
