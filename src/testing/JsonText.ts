/**
 * JSON text with everything that Kubernetes, Go and hand-written manifests may hold, together with what a parser of *text*
 * has to find out about it: a written tree knows the spelling and the surroundings of each of its values.
 *
 * The tree comes from a list of numbers, so that it shrinks as a list does: fewer and smaller numbers are simpler text.
 *
 * @module
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { Json, Path } from "../velero/Json.ts"

/** A value as it is written, without the space around it. */
export type Written =
  | { readonly type: "scalar"; readonly text: string }
  | { readonly type: "array"; readonly empty: string; readonly members: ReadonlyArray<Member> }
  | { readonly type: "object"; readonly empty: string; readonly members: ReadonlyArray<Member> }

/** A key with its colon (empty in arrays), a value, and the space around both. */
export interface Member {
  readonly before: string
  readonly key: string
  readonly keyText: string
  readonly value: Written
  readonly after: string
}

const printMember = ({ after, before, keyText, value }: Member): string => before + keyText + print(value) + after

/** The text of a value. */
export const print = (written: Written): string => {
  if (written.type === "scalar") return written.text
  const [open, close] = written.type === "array" ? "[]" : "{}"
  return `${open}${written.members.length === 0 ? written.empty : written.members.map(printMember).join(",")}${close}`
}

/** Takes choices from a list; when it is used up, always the first and simplest. */
export class Choices {
  readonly #numbers: ReadonlyArray<number>
  #at = 0
  constructor(numbers: ReadonlyArray<number>) {
    this.#numbers = numbers
  }
  /** A number from 0 to below the bound. */
  below(bound: number): number {
    return (this.#numbers[this.#at++] ?? 0) % bound
  }
  /** One of these. */
  of<A>(values: ReadonlyArray<A>): A {
    return values[this.below(values.length)] as A
  }
}

const spaces = ["", "", "", " ", "\n  ", "\t", "\r\n"]

const list = (text: string): ReadonlyArray<string> => text.split(" ")

const scalars = [
  ...list("0 true false null 1 1.0 -0 0.10 2e+0 1e400 -1E-7 9007199254740993 -9223372036854775808"),
  ...list(String.raw`"" "a" "}],[{:" "__proto__" "\u003c&\u003e" "\"" "\\" "\\\"" "\/\b\u0000"`),
  ...list(String.raw`"\ud83d" "\ud83d\ude00" 123456789012345678901234567890`),
  // Not above: Bun's own transpiler writes other than ASCII in a raw template as `\u{…}`, which is no JSON.
  `"größe😀"`
]

const keys = [
  ...list(`"a" "b" "" "1" "0" "10" "-1" "__proto__" "constructor" "length" "a.b/c" "<" "ключ" "😀"`),
  ...list(String.raw`"\u0061" "\u003c" "\u005f_proto__" "\\" "\"}" "\ud83d"`)
]

/** What the texts may hold. */
export interface Options {
  /** Whether an object may have a key twice, in the same spelling or in another. */
  readonly duplicates: boolean
}

const write = (choices: Choices, depth: number, options: Options): Written => {
  const type = depth === 0 ? "object" : choices.of(["scalar", "object", "array"] as const)
  if (type === "scalar" || depth > 4) return { type: "scalar", text: choices.of(scalars) }
  const members = Array.from({ length: choices.below(5) }, (): Member => {
    const keyText = type === "object" ? choices.of(keys) : ""
    return {
      before: choices.of(spaces),
      key: keyText === "" ? "" : (JSON.parse(keyText) as string),
      keyText: keyText === "" ? "" : `${keyText}${choices.of(spaces)}:${choices.of(spaces)}`,
      value: write(choices, depth + 1, options),
      after: choices.of(spaces)
    }
  })
  const isFirst = ({ key }: Member, index: number) => members.findIndex((other) => other.key === key) === index
  return {
    type,
    empty: choices.of(spaces),
    members: type === "array" || options.duplicates ? members : members.filter(isFirst)
  }
}

/** A whole text: an object with space before and behind it. Of a document that breaks a property only the text is shown. */
export class Document {
  readonly text: string
  readonly #before: string
  readonly #root: Written
  readonly #after: string
  constructor(before: string, root: Written, after: string) {
    this.text = before + print(root) + after
    this.#before = before
    this.#root = root
    this.#after = after
  }
  get root(): Written {
    return this.#root
  }
  /** The text with another root. */
  with(root: Written): string {
    return this.#before + print(root) + this.#after
  }
}

/**
 * Documents, and choices for what to do with them.
 *
 * @example
 * ```ts
 * import * as Arbitrary from "effect/Arbitrary"
 * import * as Effect from "effect/Effect"
 * import * as JsonText from "velero-plugin-cnpg/testing/JsonText"
 *
 * const documents = JsonText.documents({ duplicates: true })
 * const isJson = Arbitrary.checkEffect(documents, ({ document }) => typeof JSON.parse(document.text) === "object")
 * Arbitrary.formatCheckFailure(await Effect.runPromise(isJson)) // => undefined
 * ```
 */
export const documents = (
  options: Options
): Arbitrary.Arbitrary<{ readonly document: Document; readonly choices: Choices }> => {
  const entropy = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))), {
    minLength: 40,
    maxLength: 250
  })
  return Arbitrary.map(Arbitrary.all({ document: entropy, choices: entropy }), (drawn) => {
    const choices = new Choices(drawn.document)
    const document = new Document(choices.of(spaces), write(choices, 0, options), choices.of(spaces))
    return { document, choices: new Choices(drawn.choices) }
  })
}

/** A value of a tree with what leads to it. */
export interface Place {
  readonly path: Path
  readonly value: Written
}

/** Every value that a path leads to: of duplicate keys the last. */
export const places = (value: Written, path: Path = []): ReadonlyArray<Place> => [
  { path, value },
  ...(value.type === "scalar"
    ? []
    : value.members.flatMap((member, index) => {
        if (value.type === "array") return places(member.value, [...path, index])
        const isLast = value.members.findLastIndex(({ key }) => key === member.key) === index
        return isLast ? places(member.value, [...path, member.key]) : []
      }))
]

const indexOf = (members: ReadonlyArray<Member>, step: string | number): number =>
  typeof step === "number" ? step : members.findLastIndex(({ key }) => key === step)

const editAt = (document: Document, path: Path, edit: (value: Written) => Written): string => {
  const descend = (written: Written, [step, ...rest]: Path): Written => {
    if (step === undefined) return edit(written)
    if (written.type === "scalar") return written
    const at = indexOf(written.members, step)
    const members = written.members.map((member, index) =>
      index === at ? { ...member, value: descend(member.value, rest) } : member
    )
    return { ...written, members }
  }
  return document.with(descend(document.root, path))
}

/** The text with another value at a path that leads to one. */
export const replaceAt = (document: Document, path: Path, text: string): string =>
  editAt(document, path, () => ({ type: "scalar", text }))

/** The text without a member: its comma goes too, and the space between it and that comma. */
export const removeAt = (document: Document, path: Path): string =>
  editAt(document, path.slice(0, -1), (written) => {
    if (written.type === "scalar") return written
    const at = indexOf(written.members, path.at(-1) ?? "")
    const removed = written.members[at]
    const previous = written.members[at - 1]
    const next = written.members[at + 1]
    const members = written.members.toSpliced(at, 1)
    const { after = "", before = "" } = removed ?? {}
    if (previous !== undefined) return { ...written, members: members.with(at - 1, { ...previous, after }) }
    if (next !== undefined) return { ...written, members: members.with(at, { ...next, before }) }
    return { ...written, members, empty: before + after }
  })

const values: ReadonlyArray<Json> = [
  ...([0, "a", null, true, [], {}, -1.5, 1e21, "größe 😀", "\ud83d", '"}\\', "<"] as const),
  ...([{ a: 1 }, [1, null], { b: [{ "": "x" }] }] as const),
  JSON.parse('{"__proto__":{"a":1},"1":2}') as Json
]

/** A value to set. */
export const valueOf = (choices: Choices): Json => choices.of(values)

/** A key that an object may lack. */
export const keyOf = (choices: Choices): string =>
  choices.of(["new", "a", "b", "", "1", "__proto__", "\ud83d", '"\\', "<"])

/** A path that leads to a value, beside one, below one or nowhere. */
export const pathOf = (choices: Choices, root: Written): Path => {
  const { path, value } = choices.of(places(root))
  const end = value.type === "array" ? value.members.length : 0
  return choices.of<() => Path>([
    () => path,
    () => [...path, keyOf(choices)],
    () => [...path, end],
    () => [...path, keyOf(choices), keyOf(choices)],
    () => [...path, keyOf(choices), 0]
  ])()
}
