/** What the columns are that a difference names. */
import type { Client } from 'pg'

/** Adds the types of the columns that a difference names. */
export async function withTypes(database: Client, text: string): Promise<string> {
  const names = text.split(/[.[\]\n]/)
  const { rows } = await database.query<{ name: string; type: string }>(
    `SELECT DISTINCT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) ||
       coalesce(' over ' || format_type(t.typbasetype, t.typtypmod), '') AS type
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
     WHERE a.attnum > 0 AND c.relkind IN ('r', 'p') AND (c.relnamespace > 16383 OR c.relnamespace = 'public'::regnamespace)
       AND a.attname = ANY($1)`,
    [names],
  )
  return rows.length === 0 ? text : `${text}\n    types ${rows.map(({ name, type }) => `${name} ${type}`).join(', ')}`
}
