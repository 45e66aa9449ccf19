/** Label and field selectors of LIST requests; a selector is compiled into a predicate, or says why it cannot be. */
import * as Result from "effect/Result"
import type { Tree } from "./Tree.ts"
import { child, string } from "./Tree.ts"

export type Predicate = (object: Tree) => boolean

type Parsed<A> = Result.Result<A, string>

/** One operator, or one word: everything that is neither space nor operator. */
const token = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y

const tokens = (selector: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  token.lastIndex = 0
  for (let match = token.exec(selector); match !== null; match = token.exec(selector)) found.push(match[1] ?? "")
  return found
}

const isWord = (text: string | undefined): text is string => text !== undefined && !/^[=!(),<>]/.test(text)

const found = (text: string | undefined, expected: string): string => `found '${text ?? ""}', expected: ${expected}`

const integer = (text: string | undefined): number => (text !== undefined && /^-?\d+$/.test(text) ? Number(text) : NaN)

/** One requirement, of the tokens between two commas that stand outside of parentheses. */
const requirement = (words: ReadonlyArray<string>): Parsed<Predicate> => {
  const negated = words[0] === "!"
  const [key, operator, ...rest] = negated ? words.slice(1) : words
  if (!isWord(key)) return Result.fail(found(key, "identifier"))
  const label = (object: Tree): string | undefined => {
    const value = child(child(object, "metadata"), "labels")[key]
    return typeof value === "string" ? value : undefined
  }
  if (operator === undefined) return Result.succeed((object) => (label(object) === undefined) === negated)
  if (negated) return Result.fail(found(operator, "',' or 'end of string'"))
  switch (operator) {
    case "in":
    case "notin": {
      if (rest[0] !== "(") return Result.fail(`found '${rest[0] ?? ""}' expected: '('`)
      if (rest.at(-1) !== ")") return Result.fail(found(rest.at(-1), "',' or ')'"))
      const inner = rest.slice(1, -1)
      const wrong = inner.find((word, index) => word !== "," && (!isWord(word) || isWord(inner[index - 1])))
      if (wrong !== undefined) return Result.fail(found(wrong, "',' or ')'"))
      const values = new Set(
        inner
          .join(" ")
          .split(",")
          .map((value) => value.trim())
      )
      return Result.succeed((object) => {
        const value = label(object)
        return (value !== undefined && values.has(value)) === (operator === "in")
      })
    }
    case "=":
    case "==":
    case "!=":
    case "<":
    case ">": {
      const [value = "", extra] = rest
      if (!isWord(value) && value !== "") return Result.fail(found(value, "identifier"))
      if (extra !== undefined) return Result.fail(found(extra, "',' or 'end of string'"))
      if (operator === "<" || operator === ">") {
        const bound = integer(value)
        if (Number.isNaN(bound)) return Result.fail("for 'Gt', 'Lt' operators, the value must be an integer")
        return Result.succeed((object) =>
          operator === "<" ? integer(label(object)) < bound : integer(label(object)) > bound
        )
      }
      return Result.succeed((object) => (label(object) === value) === (operator !== "!="))
    }
    default:
      return Result.fail(found(operator, "in, notin, =, ==, !=, gt, lt"))
  }
}

/** Equality (`=`, `==`, `!=`), sets (`in`, `notin`), existence (`key`, `!key`), integers (`<`, `>`), joined by commas. */
export const labels = (selector: string): Parsed<Predicate> => {
  const groups: Array<Array<string>> = [[]]
  let depth = 0
  for (const word of tokens(selector)) {
    if (word === "(") depth++
    if (word === ")") depth--
    if (word === "," && depth === 0) groups.push([])
    else groups.at(-1)?.push(word)
  }
  if (groups.length === 1 && groups[0]?.length === 0) return Result.succeed(() => true)
  return all(groups.map((words) => Result.mapError(requirement(words), (why) => `unable to parse requirement: ${why}`)))
}

/** The two fields that every resource supports, with `=`, `==` and `!=`. */
export const fields = (selector: string): Parsed<Predicate> =>
  all(
    selector
      .split(",")
      .filter((term) => term !== "")
      .map((term): Parsed<Predicate> => {
        const match = /^([^=!]+)(==|!=|=)(.*)$/.exec(term)
        if (match === null) return Result.fail(`invalid selector: '${selector}'; can't understand '${term}'`)
        const [, field = "", operator, value = ""] = match
        if (field !== "metadata.name" && field !== "metadata.namespace") {
          return Result.fail(
            `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
          )
        }
        const key = field.slice("metadata.".length)
        return Result.succeed(
          (object) => ((string(child(object, "metadata"), key) ?? "") === value) === (operator !== "!=")
        )
      })
  )

const all = (parsed: ReadonlyArray<Parsed<Predicate>>): Parsed<Predicate> =>
  Result.map(Result.all(parsed), (predicates) => (object) => predicates.every((holds) => holds(object)))
