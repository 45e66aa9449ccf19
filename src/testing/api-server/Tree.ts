/**
 * Parsed JSON in which no number loses a digit: a number that JavaScript cannot print back as it was written is kept as
 * `JSON.rawJSON` (stage-4 "JSON.parse source text access", in Bun and Node 21 or later). Trees are never changed in place.
 */

/** A JSON object. */
export interface Tree {
  readonly [key: string]: unknown
}

/** TypeScript's `lib` does not know these yet. */
const json = JSON as unknown as {
  readonly rawJSON: (text: string) => unknown
  readonly isRawJSON: (value: unknown) => boolean
  readonly parse: (
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown
  ) => unknown
}

/** Throws a `SyntaxError`, as `JSON.parse` does. */
export const parse = (text: string): unknown =>
  json.parse(text, (_key, value, { source }) =>
    typeof value === "number" && source !== undefined && String(value) !== source ? json.rawJSON(source) : value
  )

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !json.isRawJSON(value)

/** The object at `key`; an empty one where there is none. */
export const child = (tree: Tree, key: string): Tree => {
  const value = tree[key]
  return isTree(value) ? value : {}
}

export const string = (tree: Tree, key: string): string | undefined => {
  const value = tree[key]
  return typeof value === "string" && value !== "" ? value : undefined
}

/** `Object.fromEntries` defines properties, so that a key named `__proto__` stays a key. */
export const fromEntries = (entries: Iterable<readonly [string, unknown]>): Tree => Object.fromEntries(entries)

/** `tree` without keys. */
export const omit = (tree: Tree, ...keys: ReadonlyArray<string>): Tree =>
  fromEntries(Object.entries(tree).filter(([key]) => !keys.includes(key)))

/** `tree` without keys whose value is `undefined`. */
export const defined = (tree: Tree): Tree =>
  fromEntries(Object.entries(tree).filter(([, value]) => value !== undefined))

/** A copy that shares nothing with its source, without what JSON cannot hold. */
export const clone = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(clone)
  if (!isTree(value)) return value
  return fromEntries(Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, clone(item)]])))
}

/** Equal as JSON: the order of keys does not matter, the spelling of numbers does. */
export const equal = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index]))
  }
  if (isTree(a) && isTree(b)) {
    const keys = Object.keys(a)
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  }
  return a === b || (json.isRawJSON(a) && json.isRawJSON(b) && JSON.stringify(a) === JSON.stringify(b))
}

/** RFC 7386. */
export const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isTree(patch)) return patch
  const merged = new Map(isTree(target) ? Object.entries(target) : [])
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, mergePatch(merged.get(key), value))
  }
  return fromEntries(merged)
}
