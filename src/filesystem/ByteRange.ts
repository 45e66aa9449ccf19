/**
 * The `Range` header: pure functions. One range of bytes is served; a list of several may be answered with everything.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 */

/** What a request asks for. `end` is behind the last byte. */
export type Part =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Range"; readonly start: number; readonly end: number }
  /** Nothing of what was asked for is there. */
  | { readonly _tag: "Unsatisfiable" }

const whole: Part = { _tag: "Whole" }

/** The part of `size` bytes that a header asks for. What is not understood counts as if it were not there. */
export const parse = (header: string | undefined, size: number): Part => {
  const [, first = "", last = ""] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/.exec(header ?? "") ?? []
  if (first === "" && last === "") return whole
  if (first === "") {
    const length = Math.min(Number(last), size)
    return length === 0 ? { _tag: "Unsatisfiable" } : { _tag: "Range", start: size - length, end: size }
  }
  const start = Number(first)
  if (last !== "" && Number(last) < start) return whole
  if (start >= size) return { _tag: "Unsatisfiable" }
  return { _tag: "Range", start, end: last === "" ? size : Math.min(Number(last) + 1, size) }
}
