/** The byte buffer lives in the plugin API, because sinks build request bodies with it; this is the worker's name for it. */
export * from '../api/byte-writer.ts'
