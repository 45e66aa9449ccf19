/**
 * Edits of JSON *text* that leave every byte alone that they do not name.
 *
 * A Kubernetes object that went through `JSON.parse` and `JSON.stringify` is another text: integers above 2^53 are rounded,
 * `1.0` becomes `1`, `1e400` becomes `null`, `\u003c` becomes `<`, keys that look like integers move to the front, duplicate
 * keys disappear. A plugin must not do any of this to an object that it hands back. So an item stays text: it is parsed
 * only to be read, and changed by splicing.
 *
 * **Gotchas**: all functions expect text that `JSON.parse` accepts; they do not validate it again.
 *
 * @module
 */

/** A parsed JSON value, for reading only: its numbers may have lost digits. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/** A parsed JSON object, for reading only. */
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/** Keys (strings) and indices (numbers) from the root to a value. */
export type Path = ReadonlyArray<string | number>

/**
 * One edit, as data.
 *
 * - `set` makes the value at `path` equal to `value`. Missing objects on the way are made, a `null` on the way counts as
 *   missing (Go prints a nil map as `null`), an index equal to the length of its array appends. A value that is equal
 *   already keeps its spelling.
 * - `copy` is `set` with the very text that stands at `from` in the item *before any edit*; without one it does nothing.
 * - `remove` drops a key or an element with its comma; where there is none it does nothing.
 */
export type Patch =
  | { readonly op: "set"; readonly path: Path; readonly value: Json }
  | { readonly op: "copy"; readonly from: Path; readonly path: Path }
  | { readonly op: "remove"; readonly path: Path }

/** Makes the value at a path equal to this one. */
export const set = (path: Path, value: Json): Patch => ({ op: "set", path, value })
/** Puts the text at one path, as it came, at another one. */
export const copy = (from: Path, path: Path): Patch => ({ op: "copy", from, path })
/** Drops what is at a path. */
export const remove = (path: Path): Patch => ({ op: "remove", path })

/**
 * Applies patches in order. Throws a `TypeError` where a path leads through a scalar, or behind the end of an array.
 *
 * @example
 * ```ts
 * import * as Json from "velero-plugin-cnpg/velero/Json"
 *
 * const text = `{"big":9007199254740993, "spec":{"replicas":1.0,"paused":true},"metadata":{"annotations":null}}`
 * Json.patch(text, [
 *   Json.set(["metadata", "annotations", "example.com/seen"], "true"),
 *   Json.set(["spec", "replicas"], 1),
 *   Json.remove(["spec", "paused"]),
 *   Json.copy(["big"], ["spec", "big"])
 * ]) // => `{"big":9007199254740993, "spec":{"replicas":1.0,"big":9007199254740993},"metadata":{"annotations":{"example.com/seen":"true"}}}`
 * ```
 */
export const patch = (text: string, patches: ReadonlyArray<Patch>): string =>
  patches.reduce((current, edit) => {
    switch (edit.op) {
      case "set":
        return setText(current, edit.path, JSON.stringify(edit.value))
      case "copy": {
        const source = slice(text, edit.from)
        return source === undefined ? current : setText(current, edit.path, source)
      }
      case "remove":
        return removeText(current, edit.path)
    }
  }, text)

/** The text of the value at `path`, or `undefined`. */
export const slice = (text: string, path: Path): string | undefined => {
  const span = find(text, path)
  return span === undefined ? undefined : text.slice(span.start, span.end)
}

/** A value's place in the text: `start` of its first character, `end` behind its last. */
interface Span {
  readonly start: number
  readonly end: number
}

/** A key and its value, or an element (whose `from` is its value's start). */
interface Member extends Span {
  readonly from: number
}

interface Container {
  readonly members: ReadonlyArray<Member>
  /** Index of the closing bracket. */
  readonly close: number
  /** The member that `step` names; of duplicate keys the last one, which is the one that parsers take. */
  readonly found: Member | undefined
}

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

const skipSpace = (text: string, at: number): number => {
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

/** Index behind the string that opens at `at`. */
const skipString = (text: string, at: number): number => {
  let end = text.indexOf('"', at + 1)
  for (;;) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++
    if (escapes % 2 === 0) return end + 1
    end = text.indexOf('"', end + 1)
  }
}

/** Index behind the value that begins at `at`. */
const skipValue = (text: string, at: number): number => {
  const first = text[at]
  if (first === '"') return skipString(text, at)
  if (first !== "{" && first !== "[") {
    while (at < text.length && !",]} \n\r\t".includes(text.charAt(at))) at++
    return at
  }
  let depth = 0
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      at = skipString(text, at)
      continue
    }
    if (code === 0x7b || code === 0x5b) depth++
    if (code === 0x7d || code === 0x5d) depth--
    at++
    if (depth === 0) return at
  }
}

const keyAt = (text: string, start: number, end: number): string => {
  const raw = text.slice(start, end)
  return raw.includes("\\") ? (JSON.parse(raw) as string) : raw.slice(1, -1)
}

const scan = (text: string, open: number, step: string | number): Container => {
  const isObject = text[open] === "{"
  const members: Array<Member> = []
  let found: Member | undefined
  let at = skipSpace(text, open + 1)
  while (text[at] !== "}" && text[at] !== "]") {
    const from = at
    let matches = members.length === step
    if (isObject) {
      const keyEnd = skipString(text, at)
      matches = keyAt(text, at, keyEnd) === step
      at = skipSpace(text, skipSpace(text, keyEnd) + 1)
    }
    const start = at
    const end = skipValue(text, start)
    const member = { from, start, end }
    members.push(member)
    if (matches) found = member
    at = skipSpace(text, end)
    if (text[at] === ",") at = skipSpace(text, at + 1)
  }
  return { members, close: at, found }
}

const root = (text: string): Span => {
  const start = skipSpace(text, 0)
  return { start, end: skipValue(text, start) }
}

const holds = (text: string, at: number, step: string | number): boolean =>
  text[at] === (typeof step === "string" ? "{" : "[")

const find = (text: string, path: Path): Span | undefined => {
  let span = root(text)
  for (const step of path) {
    if (!holds(text, span.start, step)) return undefined
    const { found } = scan(text, span.start, step)
    if (found === undefined) return undefined
    span = found
  }
  return span
}

const splice = (text: string, start: number, end: number, by: string): string =>
  text.slice(0, start) + by + text.slice(end)

const noSuchIndex = (path: Path) =>
  new TypeError(`cannot set ${path.join(".")}: an index may be at most the length of its array`)

/** The text of `value` inside the objects and arrays that `steps` ask for. */
const nest = (steps: Path, value: string): string =>
  steps.reduceRight<string>((inner, step) => {
    if (typeof step === "string") return `{${JSON.stringify(step)}:${inner}}`
    if (step !== 0) throw noSuchIndex(steps)
    return `[${inner}]`
  }, value)

/** One spelling for all spellings of a number, with every digit: `1.0`, `10E-1` and `1` are `1e0`. */
const exactNumber = (source: string): string => {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(source) ?? []
  const digits = (whole + fraction).replace(/^0+/, "")
  const significant = digits.replace(/0+$/, "")
  const power = BigInt(exponent) + BigInt(digits.length - significant.length - fraction.length)
  return significant === "" ? "0" : `${sign}${significant}e${power}`
}

// Source access and raw JSON are not in TypeScript's library yet.
const { parse, rawJSON } = JSON as unknown as {
  readonly parse: (text: string, revive: (key: string, value: unknown, at: { source: string }) => unknown) => unknown
  readonly rawJSON: (text: string) => unknown
}

/** Text that is the same for equal values; numbers are not rounded. */
const normalized = (text: string): string =>
  JSON.stringify(
    parse(text, (_, value, { source }) => (typeof value === "number" ? rawJSON(exactNumber(source)) : value))
  )

const isSame = (text: string, value: string): boolean => text === value || normalized(text) === normalized(value)

const setText = (text: string, path: Path, value: string): string => {
  let span = root(text)
  for (const [depth, step] of path.entries()) {
    if (!holds(text, span.start, step)) {
      if (text.startsWith("null", span.start)) return splice(text, span.start, span.end, nest(path.slice(depth), value))
      throw new TypeError(`cannot set ${path.join(".")}: ${path.slice(0, depth).join(".")} is of another type`)
    }
    const { close, found, members } = scan(text, span.start, step)
    if (found === undefined) {
      if (typeof step === "number" && step !== members.length) throw noSuchIndex(path)
      const inner = nest(path.slice(depth + 1), value)
      const added = typeof step === "string" ? `${JSON.stringify(step)}:${inner}` : inner
      const last = members.at(-1)
      return last === undefined ? splice(text, close, close, added) : splice(text, last.end, last.end, `,${added}`)
    }
    span = found
  }
  return isSame(text.slice(span.start, span.end), value) ? text : splice(text, span.start, span.end, value)
}

const removeText = (text: string, path: Path): string => {
  const step = path.at(-1)
  if (step === undefined) return text
  const parent = find(text, path.slice(0, -1))
  if (parent === undefined || !holds(text, parent.start, step)) return text
  const { found, members } = scan(text, parent.start, step)
  if (found === undefined) return text
  const index = members.indexOf(found)
  const previous = members[index - 1]
  const next = members[index + 1]
  const removed =
    previous !== undefined
      ? splice(text, previous.end, found.end, "")
      : splice(text, found.from, next === undefined ? found.end : next.from, "")
  // Of duplicate keys each one has to go.
  return typeof step === "string" ? removeText(removed, path) : removed
}
