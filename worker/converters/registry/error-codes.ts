import { defineErrorCodes } from '../../api/errors.ts'

/** Codes of what a schema registry, or a message of one, may raise. */
export const registryErrorCodes = defineErrorCodes({
  CONNECT_REGISTRY_UNAVAILABLE: {
    meaning: 'No address of the schema registry answered, or all of them reported a failure of their own.',
    remedy:
      'Check schema.registry.url and the registry; give errors.retry.timeout so that tasks wait for it instead of failing.',
  },
  CONNECT_REGISTRY_ACCESS: {
    meaning: 'The schema registry refused the credentials (HTTP 401 or 403).',
    remedy: 'Check basic.auth.credentials.source with basic.auth.user.info, or bearer.auth.token.',
  },
  CONNECT_REGISTRY_NOT_FOUND: {
    meaning: 'The schema registry knows no such subject or schema.',
    remedy:
      'Register the schema, or set auto.register.schemas=true; for reading, check that the message came from this registry.',
  },
  CONNECT_REGISTRY_INCOMPATIBLE: {
    meaning: 'The schema registry refused a schema that is incompatible with those before it.',
    remedy: "Correct the source's schema, or relax the compatibility of the subject.",
  },
  CONNECT_REGISTRY_REFUSED: {
    meaning: 'The schema registry refused a request, mostly because a schema is invalid for it.',
    remedy: 'Read the message of the registry; for invalid names set scrub.invalid.names=true.',
  },
  CONNECT_REGISTRY_FRAME: {
    meaning: 'A message does not begin with the magic byte and schema id of the registry format.',
    remedy: 'Choose the converter that wrote the topic, or send bad records to a dead letter queue.',
  },
  CONNECT_REGISTRY_SCHEMA: {
    meaning: 'A schema has no counterpart in the other type system, or is not the one that the subject prescribes.',
    remedy: 'Change the schema as the message says.',
  },
  CONNECT_CODEC_MISSING: {
    meaning: 'A package that the converter needs is not installed.',
    remedy: 'Install the optional package that the message names.',
  },
})
