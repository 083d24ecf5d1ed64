/** Exact JSON lives in the plugin API, because plugins need it as much as the worker; this is the worker's name for it. */
export * from '../api/json.ts'
