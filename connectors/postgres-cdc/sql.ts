/** SQL text. Apart from the driver, so that the manifest loads without it. */

/** Doubles quotes inside an identifier and puts quotes around it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

export function splitStatements(text: string): readonly string[] {
  return text
    .split(/(?<!;);(?!;)/)
    .map((statement) => statement.replaceAll(';;', ';').trim())
    .filter((statement) => statement !== '')
}
