import { defineErrorCodes } from '../api/errors.ts'

export const configErrorCodes = defineErrorCodes({
  CONNECT_CONFIG_INVALID: {
    meaning: 'Options are missing, malformed or contradict each other; the message lists every problem by option.',
    remedy:
      'Correct the options that the message names; `config/validate` checks a connector config without creating it.',
  },
  CONNECT_CONFIG_FILE: {
    meaning: 'A worker or connector file named on the command line cannot be read or understood.',
    remedy:
      'Check path and permissions; a connector file is `{"name", "config"}` JSON, a flat JSON map, or Java properties.',
  },
  CONNECT_PACKAGE: {
    meaning: 'The installation has no readable package.json, so the worker does not know its own version.',
    remedy: 'Install the package anew.',
  },
})
