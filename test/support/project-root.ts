import { fileURLToPath } from 'node:url'

/** Root folder of this checkout, without a slash at the end. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
