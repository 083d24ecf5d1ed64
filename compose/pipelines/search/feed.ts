import type { Client } from 'pg'

/** Rows are functions of their number, so every run has the same data. */
const uid = (kind: string, expression: string) => `md5('${kind}' || (${expression}))::uuid`

export async function insertUsers(client: Client, users: number): Promise<void> {
  await client.query(
    `INSERT INTO users SELECT ${uid('u', 'i')}, 'First' || i, 'Last ' || i || CASE WHEN i % 7 = 0 THEN ' "ÿ✓' ELSE '' END,
       CASE WHEN i % 3 > 0 THEN 'user' || i || '@example.org' END FROM generate_series(1, $1::int) i`,
    [users],
  )
}

/** Conversations `from … to` with their first items: 0 to 4 each, in one transaction. */
export async function openConversations(client: Client, from: number, to: number, users: number): Promise<void> {
  await client.query('BEGIN')
  await client.query(
    `INSERT INTO conversations (uid, user_uid, subject)
       SELECT ${uid('c', 'i')}, ${uid('u', '1 + i % $3::int')}, 'Order #' || i FROM generate_series($1::int, $2::int) i`,
    [from, to, users],
  )
  await client.query(
    `INSERT INTO conversation_items (conversation_uid, type, body)
       SELECT ${uid('c', 'i')}, (ARRAY['message', 'review_invite', 'review', 'message'])[n], repeat('text ' || i || ' ', 1 + i % 20)
       FROM generate_series($1::int, $2::int) i, generate_series(1, 4) n WHERE n <= i % 5 ORDER BY i, n`,
    [from, to],
  )
  await client.query('COMMIT')
}

/** What happens to conversations `from … to` later: a message, a closing of every sixth, a reopening of some, a rename. */
export async function liveChanges(client: Client, from: number, to: number, users: number): Promise<void> {
  const range = [from, to]
  await client.query(
    `INSERT INTO conversation_items (conversation_uid, type, body)
       SELECT ${uid('c', 'i')}, CASE WHEN i % 4 = 0 THEN 'review_invite' ELSE 'message' END, 'later' FROM generate_series($1::int, $2::int) i
       WHERE i % 2 = 0 ORDER BY i`,
    range,
  )
  await client.query(
    `UPDATE conversations SET closed_at = now() WHERE uid IN (SELECT ${uid('c', 'i')} FROM generate_series($1::int, $2::int) i WHERE i % 6 = 0)`,
    range,
  )
  await client.query(
    `UPDATE conversations SET closed_at = NULL WHERE uid IN (SELECT ${uid('c', 'i')} FROM generate_series($1::int, $2::int) i WHERE i % 60 = 0)`,
    range,
  )
  await client.query(
    `UPDATE users SET first_name = first_name || '*' WHERE uid = ${uid('u', '1 + $1::int % $2::int')}`,
    [from, users],
  )
}

/** The documents that should exist, computed by the database itself. */
export const expectedDocuments = `
  SELECT c.uid::text AS uid, c.user_uid::text AS user_uid, u.first_name || ' ' || u.last_name AS "user", c.subject,
    CASE
      WHEN r.last_review IS NOT NULL THEN
        CASE WHEN EXISTS (SELECT FROM conversation_items m WHERE m.conversation_uid = c.uid AND m.type = 'message' AND m.id > r.last_review)
          THEN 'finished' ELSE 'needs_review_response' END
      WHEN r.first_invite IS NOT NULL THEN 'needs_review'
      ELSE 'needs_review_invite'
    END AS step,
    r.items::int AS items
  FROM conversations c JOIN users u ON u.uid = c.user_uid
    CROSS JOIN LATERAL (
      SELECT max(id) FILTER (WHERE type = 'review') AS last_review, min(id) FILTER (WHERE type = 'review_invite') AS first_invite, count(*) AS items
      FROM conversation_items i WHERE i.conversation_uid = c.uid) r
  WHERE c.closed_at IS NULL`
