/** Classes of others that users bring along, and what takes their place here. */
const replacements: ReadonlyMap<string, readonly [kind: string, className: string]> = new Map([
  ['AvroConverter', ['Avro', 'io.confluent.connect.avro.AvroConverter']],
  ['ExtJsonConverter', ['JSON Schema', 'io.confluent.connect.json.JsonSchemaConverter']],
])

const apicurioPackage = 'io.apicurio.registry.utils.converter.'

/**
 * What to write instead of a class that is not here; null when nothing is known of it. Apicurio's converters have
 * options and a wire format of their own (by default ids of 8 bytes, or ids in headers), so that their names cannot be
 * aliases of Confluent's.
 * @param known classes of the same kind
 */
export function adviceFor(className: string, known: readonly string[]): string | null {
  const parts = ['Key', 'Value'].map((part) => `${className}$${part}`)
  if (parts.every((part) => known.includes(part)))
    return `It works on one part of a record: write ${parts.join(' or ')}.`
  if (!className.startsWith(apicurioPackage)) return null
  const replacement = replacements.get(className.slice(apicurioPackage.length))
  const named = (replacement === undefined ? [...replacements.values()] : [replacement])
    .map(([kind, name]) => `${name} (${kind})`)
    .join(' or ')
  return (
    `Use ${named} with schema.registry.url at Apicurio's Confluent-compatible endpoint, ` +
    'http://<registry>/apis/ccompat/v7; producers and consumers beside it must use ids of 4 bytes before the data, too.'
  )
}
