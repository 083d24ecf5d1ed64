/** Names that Confluent's converters put into Connect schemas. */
const namespace = 'io.confluent.connect.protobuf'
export const protobufTag = `${namespace}.Tag`
export const protobufType = `${namespace}.Type`
export const protobufEnum = `${namespace}.Enum`
export const protobufUnion = `${namespace}.Union.`
export const protobufWrapper = `${namespace}.Wrapper`

/** Messages that stand for logical types. */
export const protobufLogical = {
  decimal: 'confluent.type.Decimal',
  date: 'google.type.Date',
  time: 'google.type.TimeOfDay',
  timestamp: 'google.protobuf.Timestamp',
} as const

/** Files that every registry knows without being told, beside those of Google that come with protobufjs. */
export const builtinFiles: ReadonlyMap<string, string> = new Map([
  [
    'confluent/meta.proto',
    `syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
     message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }`,
  ],
  [
    'confluent/type/decimal.proto',
    'syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }',
  ],
  [
    'google/type/date.proto',
    'syntax = "proto3"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }',
  ],
  [
    'google/type/timeofday.proto',
    `syntax = "proto3"; package google.type;
     message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }`,
  ],
])

export const logicalFiles: Readonly<Record<keyof typeof protobufLogical, string>> = {
  decimal: 'confluent/type/decimal.proto',
  date: 'google/type/date.proto',
  time: 'google/type/timeofday.proto',
  timestamp: 'google/protobuf/timestamp.proto',
}
