import type { Answer } from './route.ts'

export const statusPage: Answer = { status: 200, text: { contentType: 'text/html; charset=utf-8', content: '' } }
