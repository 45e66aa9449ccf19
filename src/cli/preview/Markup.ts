/** Markup that escapes whatever is put into it: nothing of an object can become an element, an attribute or a style. */

/** Text that has become markup. Only `html` makes it. */
export interface Markup {
  readonly markup: string
}

/** `false` is nothing. */
export type Value = string | number | false | Markup | ReadonlyArray<Value>

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/**
 * Characters that are not shown, of which some make what follows look like something else: control characters, and those that
 * change the direction of writing. They are spelled out.
 */
// oxlint-disable-next-line no-control-regex -- they are what this is about
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

const escape = (text: string): string =>
  text
    .toWellFormed()
    .replace(invisible, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/[&<>"']/g, (character) => entities[character] ?? "")

const print = (value: Value): string => {
  if (value === false) return ""
  if (typeof value === "string") return escape(value)
  if (typeof value === "number") return String(value)
  return "markup" in value ? value.markup : value.map(print).join("")
}

/** A template for text and for quoted attributes. */
export const html = (strings: TemplateStringsArray, ...values: ReadonlyArray<Value>): Markup => ({
  markup: strings.map((string, index) => string + print(values[index] ?? false)).join("")
})
