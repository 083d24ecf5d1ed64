/** Where in a text stands what should not be read: e-mail addresses, card numbers, IBANs, access tokens. */

export const sensitiveKinds = ['email', 'card', 'iban', 'token'] as const
export type SensitiveKind = (typeof sensitiveKinds)[number]

interface Detector {
  /** A cheap necessary condition: most texts end here. */
  readonly mayOccur: RegExp
  /** Candidates; global, with bounded repetitions, so that a search takes time in proportion to the text. */
  readonly pattern: RegExp
  readonly isReal: (candidate: string) => boolean
  /** One form for all spellings, so that equal things have equal hashes. */
  readonly normalize: (found: string) => string
}

const detectors: Readonly<Record<SensitiveKind, Detector>> = {
  email: {
    mayOccur: /@/,
    pattern:
      /[\p{L}\p{N}!#$%&'*+/=?^_{|}~.-]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}[\p{L}\p{N}-]{2,63}/gu,
    isReal: () => true,
    normalize: (found) => found.toLowerCase(),
  },
  card: {
    mayOccur: /\d[ \d-]{11}/,
    // Neither within a longer number nor within a word.
    pattern: /(?<![\p{L}\p{N}]|\d[.,-])\d(?:[ -]?\d){11,18}(?![\p{L}\p{N}]|[.,]\d)/gu,
    isReal: (candidate) => isCardNumber(candidate.replaceAll(/\D/g, '')),
    normalize: (found) => found.replaceAll(/\D/g, ''),
  },
  iban: {
    mayOccur: /[A-Za-z]{2}\d{2}/,
    pattern: /(?<![\p{L}\p{N}])[A-Z]{2}\d{2}(?: ?[A-Z\d]){11,30}(?![\p{L}\p{N}])/giu,
    isReal: (candidate) => isIban(candidate.replaceAll(' ', '').toUpperCase()),
    normalize: (found) => found.replaceAll(' ', '').toUpperCase(),
  },
  token: {
    mayOccur: /eyJ|gh[a-z]_|github_pat_|glpat-|xox|A(?:KIA|SIA)|AIza|[sr]k_(?:live|test)_|npm_|[Bb]earer /,
    pattern: new RegExp(
      [
        // JSON web tokens; GitHub, GitLab, Slack, AWS key ids, Google, Stripe, npm; and whatever a header carried.
        'eyJ[\\w-]{8,4096}\\.eyJ[\\w-]{2,8192}(?:\\.[\\w-]{0,4096})?',
        'gh[pousr]_[A-Za-z\\d]{20,255}|github_pat_\\w{20,255}|glpat-[\\w-]{20,255}',
        'xox[abeoprs]-[A-Za-z\\d-]{10,255}|(?:AKIA|ASIA)[A-Z\\d]{16}|AIza[\\w-]{35}',
        '[sr]k_(?:live|test)_[A-Za-z\\d]{16,255}|npm_[A-Za-z\\d]{36}',
        '(?<=[Bb]earer )[\\w~+/.-]{16,8192}={0,2}',
      ].join('|'),
      'g',
    ),
    isReal: () => true,
    normalize: (found) => found,
  },
}

/** Length and prefixes of the networks that issue cards; a number of another kind passes Luhn's test once in ten. */
const cardPattern = new RegExp(
  [
    '4(?:\\d{12}|\\d{15}|\\d{18})',
    '(?:5[1-5]\\d{2}|222[1-9]|22[3-9]\\d|2[3-6]\\d{2}|27[01]\\d|2720)\\d{12}',
    '3[47]\\d{13}',
    '3(?:0[0-5]|[689]\\d)\\d{11,16}',
    '(?:6011|64[4-9]\\d|65\\d{2})\\d{12,15}',
    '35(?:2[89]|[3-8]\\d)\\d{12,15}',
    '62\\d{14,17}',
    '(?:50|5[6-8]|6[37])\\d{10,17}',
  ]
    .map((network) => `^${network}$`)
    .join('|'),
)

/** A number of a known card network whose check digit is right (ISO/IEC 7812, Luhn). */
export function isCardNumber(digits: string): boolean {
  if (!cardPattern.test(digits)) return false
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    const doubled = i % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** An IBAN without blanks whose check digits are right (ISO 13616, modulo 97). */
export function isIban(text: string): boolean {
  if (!/^[A-Z]{2}\d{2}[A-Z\d]{11,30}$/.test(text)) return false
  let remainder = 0
  for (const char of text.slice(4) + text.slice(0, 4)) {
    const value = Number.parseInt(char, 36)
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
  }
  return remainder === 1
}

/** The text with everything of these kinds replaced; the same text when there is none. */
export function replaceSensitive(
  text: string,
  kinds: readonly SensitiveKind[],
  replacement: (kind: SensitiveKind, normalized: string) => string,
): string {
  let result = text
  for (const kind of kinds) {
    const { mayOccur, pattern, isReal, normalize } = detectors[kind]
    if (!mayOccur.test(result)) continue
    result = result.replaceAll(pattern, (found) => replaceFound(found, kind, { isReal, normalize, replacement }))
  }
  return result
}

function replaceFound(
  found: string,
  kind: SensitiveKind,
  by: Pick<Detector, 'isReal' | 'normalize'> & {
    readonly replacement: (kind: SensitiveKind, normalized: string) => string
  },
): string {
  if (by.isReal(found)) return by.replacement(kind, by.normalize(found))
  // An IBAN in blocks of four may be followed by a word: what is real may be shorter than what was found.
  if (kind !== 'iban') return found
  for (let end = found.lastIndexOf(' '); end > 0; end = found.lastIndexOf(' ', end - 1)) {
    const shorter = found.slice(0, end)
    if (by.isReal(shorter)) return by.replacement(kind, by.normalize(shorter)) + found.slice(end)
  }
  return found
}
