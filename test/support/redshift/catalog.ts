import type { ClientBase } from 'pg'
import type { CopyCommand } from './copy-command.ts'
import type { CopyOutcome, LoadError } from './copy-loader.ts'

/** Schema with what Redshift has and PostgreSQL has not; it is last on the search path. */
export const compatSchema = 'redshift_compat'

/** Settings of every session: backslash escapes in literals, snapshot isolation, UTC. */
export const sessionSettings = `
  SET search_path = public, ${compatSchema};
  SET standard_conforming_strings = off;
  SET escape_string_warning = off;
  SET backslash_quote = on;
  SET TimeZone = 'UTC';
  SET default_transaction_isolation = 'repeatable read'`

const bootstrapSql = `
CREATE SCHEMA IF NOT EXISTS ${compatSchema};
SET LOCAL search_path = ${compatSchema};
CREATE OR REPLACE FUNCTION pg_last_copy_count() RETURNS bigint LANGUAGE sql VOLATILE AS
  $$ SELECT coalesce(nullif(current_setting('redshift.last_copy_count', true), ''), '0')::bigint $$;
CREATE OR REPLACE FUNCTION pg_last_copy_id() RETURNS integer LANGUAGE sql VOLATILE AS
  $$ SELECT coalesce(nullif(current_setting('redshift.last_copy_id', true), ''), '-1')::integer $$;
CREATE OR REPLACE FUNCTION getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$ SELECT date_trunc('second', now() AT TIME ZONE 'UTC') $$;
CREATE OR REPLACE FUNCTION len(text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT char_length($1) $$;
CREATE OR REPLACE FUNCTION strtol(text, integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
  DECLARE result bigint := 0; digit integer; c text;
  BEGIN
    FOREACH c IN ARRAY regexp_split_to_array(lower($1), '') LOOP
      digit := strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) - 1;
      IF digit < 0 OR digit >= $2 THEN RAISE EXCEPTION 'The input % is not valid to be converted to base %', $1, $2; END IF;
      result := result * $2 + digit;
    END LOOP;
    RETURN result;
  END $$;
CREATE OR REPLACE FUNCTION to_hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT encode($1, 'hex') $$;
CREATE OR REPLACE FUNCTION json_parse(text) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1::jsonb $$;
CREATE OR REPLACE FUNCTION "json_serialize"(jsonb) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1::text $$;

CREATE TABLE IF NOT EXISTS sys_load_error_detail (
  user_id integer NOT NULL DEFAULT 100, query_id bigint, transaction_id bigint, session_id integer, database_name char(64),
  table_id integer, start_time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), file_name char(256), line_number bigint,
  column_name char(127), column_type char(10), column_length char(10), position integer, error_code integer, error_message char(512));
CREATE TABLE IF NOT EXISTS load_error_lines (query bigint, filename char(256), line_number bigint, colname char(127), type char(10),
  raw_line char(1024), err_code integer, err_reason char(100), starttime timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
CREATE TABLE IF NOT EXISTS sys_load_history (
  user_id integer NOT NULL DEFAULT 100, query_id bigint, status text, database_name text, table_name text, data_source text,
  start_time timestamp, end_time timestamp, loaded_rows bigint, error_count bigint, file_format text);
CREATE TABLE IF NOT EXISTS stl_load_commits (
  query bigint, filename char(256), lines_scanned bigint, curtime timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'), status integer);
CREATE OR REPLACE VIEW stl_load_errors AS
  SELECT 100 AS userid, 0 AS slice, 0 AS tbl, starttime, 0 AS session, query, filename, line_number, colname, type, ''::char(10) AS col_length,
         0 AS position, raw_line, raw_line AS raw_field_value, err_code, err_reason FROM load_error_lines;
CREATE OR REPLACE VIEW stl_loaderror_detail AS
  SELECT 100 AS userid, 0 AS slice, 0 AS session, query, filename, line_number, NULL::integer AS field, colname, raw_line AS value, 0 AS is_null,
         type, ''::char(10) AS col_length FROM load_error_lines;
CREATE OR REPLACE FUNCTION redshift_type_name(text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE $1 WHEN 'jsonb' THEN 'super' WHEN 'bytea' THEN 'binary varying' ELSE $1 END $$;
CREATE OR REPLACE VIEW svv_columns AS
  SELECT table_catalog::text, table_schema::text, table_name::text, column_name::text, ordinal_position::integer, column_default::text,
         is_nullable::text, redshift_type_name(data_type::text) AS data_type, character_maximum_length::integer, numeric_precision::integer,
         numeric_scale::integer, datetime_precision::integer, NULL::text AS remarks
    FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema', '${compatSchema}');
CREATE OR REPLACE VIEW svv_tables AS
  SELECT table_catalog::text, table_schema::text, table_name::text, table_type::text, NULL::text AS remarks
    FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema', '${compatSchema}');
CREATE OR REPLACE VIEW pg_table_def AS
  SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname AS "column", redshift_type_name(format_type(a.atttypid, a.atttypmod)) AS type,
         'none'::text AS encoding, false AS distkey, 0 AS sortkey, a.attnotnull AS "notnull"
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', '${compatSchema}');
`

/** Any 32-bit number: the lock under which emulators that share a server prepare a database. */
const bootstrapLock = 727_210_941

/** Creates the compatibility objects in a database; repeatable, and safe when several emulators start at once. */
export async function bootstrapDatabase(client: ClientBase): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query(`SELECT pg_advisory_xact_lock(${bootstrapLock})`)
    await client.query(bootstrapSql)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}

/** A finished or failed COPY as the system views keep it. */
export interface LoadReport {
  readonly queryId: number
  readonly database: string
  readonly command: CopyCommand
  readonly startedAt: number
  readonly outcome: CopyOutcome | null
  readonly errors: readonly LoadError[]
}

async function reportErrors(client: ClientBase, report: LoadReport): Promise<void> {
  for (const error of report.errors) {
    await client.query(
      `INSERT INTO ${compatSchema}.sys_load_error_detail
         (query_id, transaction_id, session_id, database_name, start_time, file_name, line_number, column_name, column_type, error_code, error_message)
       VALUES ($1, 0, 0, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        report.queryId,
        report.database,
        new Date(report.startedAt).toISOString(),
        error.fileName.slice(0, 256),
        error.line,
        error.column ?? '',
        (error.columnType ?? '').slice(0, 10),
        error.code,
        error.message.slice(0, 512),
      ],
    )
    await client.query(
      `INSERT INTO ${compatSchema}.load_error_lines (query, filename, line_number, colname, type, raw_line, err_code, err_reason)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        report.queryId,
        error.fileName.slice(0, 256),
        error.line,
        error.column ?? '',
        (error.columnType ?? '').slice(0, 10),
        error.raw.replaceAll('\u0000', '').slice(0, 1024),
        error.code,
        error.message.slice(0, 100),
      ],
    )
  }
}

/** Writes the system views' rows; on a connection of its own, so that they survive the load's rollback. */
export async function reportLoad(client: ClientBase, report: LoadReport): Promise<void> {
  await reportErrors(client, report)
  const { command, outcome } = report
  await client.query(
    `INSERT INTO ${compatSchema}.sys_load_history
       (query_id, status, database_name, table_name, data_source, start_time, end_time, loaded_rows, error_count, file_format)
     VALUES ($1, $2, $3, $4, $5, $6, (now() AT TIME ZONE 'UTC'), $7, $8, $9)`,
    [
      report.queryId,
      outcome === null ? 'failed' : 'completed',
      report.database,
      command.table,
      command.url,
      new Date(report.startedAt).toISOString(),
      outcome?.rowCount ?? 0,
      report.errors.length,
      command.format.kind,
    ],
  )
  for (const file of outcome?.files ?? []) {
    await client.query(
      `INSERT INTO ${compatSchema}.stl_load_commits (query, filename, lines_scanned, status) VALUES ($1, $2, $3, 1)`,
      [report.queryId, file.url.slice(0, 256), file.rowCount],
    )
  }
}
