CREATE TABLE users (
  uid uuid PRIMARY KEY,
  first_name text NOT NULL,
  last_name text NOT NULL,
  email text
);

CREATE TABLE conversations (
  uid uuid PRIMARY KEY,
  user_uid uuid NOT NULL REFERENCES users (uid),
  subject text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz
);

CREATE TABLE conversation_items (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  conversation_uid uuid NOT NULL REFERENCES conversations (uid),
  type text NOT NULL CHECK (type IN ('message', 'review_invite', 'review')),
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX ON conversations (user_uid);
CREATE INDEX ON conversation_items (conversation_uid);
