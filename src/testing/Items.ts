/**
 * Items for property tests, and what must not change in them.
 *
 * An action owns a few fields of an item. Whatever else a Kubernetes object may hold, in whatever spelling Velero's Go code or
 * a person wrote it, has to come back byte for byte.
 *
 * **When to use**: for the one property that every action has to have, besides what its own tests say.
 *
 * @example
 * ```ts
 * import * as Item from "velero-plugin-cnpg/velero/Item"
 * import * as Json from "velero-plugin-cnpg/velero/Json"
 * import * as Items from "velero-plugin-cnpg/testing/Items"
 *
 * const before = `{"kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3,"weight":1.0}}`
 * const after = Json.patch(before, [Json.set(["spec", "replicas"], 1)])
 * Items.outside(after, [["spec", "replicas"]]) // => Items.outside(before, [["spec", "replicas"]])
 * Items.outside(after, [["spec", "replicas"]]).at(-1) // => ["spec.weight", "1.0"]
 * Item.fromObject({ kind: "Pod" }).text // => `{"kind":"Pod"}`
 * ```
 *
 * @module
 */
import * as Arbitrary from "effect/Arbitrary"
import type { JsonObject, Path } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as JsonText from "./JsonText.ts"

/** Objects that get other fields beside those that are asked for. */
const parents = ["metadata", "spec", "data"]

const isObject = (value: Json.Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Sets the fields, whatever else goes by the same name. */
const put = (fields: JsonObject): ReadonlyArray<Json.Patch> =>
  Object.entries(fields).flatMap(([key, value]) => {
    const members: ReadonlyArray<readonly [Path, Json.Json | undefined]> =
      parents.includes(key) && isObject(value)
        ? Object.entries(value).map(([name, member]) => [[key, name], member])
        : [[[key], value]]
    return members.flatMap(([path, member]) =>
      member === undefined ? [] : [Json.remove(path), Json.set(path, member)]
    )
  })

/**
 * Texts of objects that have these fields, and others of any name, type and spelling beside them: at the top, in `metadata`, and
 * in `spec` and `data` where `fields` has them. `metadata` of `fields` needs the name at least.
 *
 * @example
 * ```ts
 * import * as Arbitrary from "effect/Arbitrary"
 * import * as Effect from "effect/Effect"
 * import * as Items from "velero-plugin-cnpg/testing/Items"
 *
 * const pods = Items.texts({ kind: "Pod", metadata: { name: "web" } })
 * const isPod = Arbitrary.checkEffect(pods, (text) => JSON.parse(text).metadata.name === "web")
 * Arbitrary.formatCheckFailure(await Effect.runPromise(isPod)) // => undefined
 * ```
 */
export const texts = (fields: JsonObject): Arbitrary.Arbitrary<string> =>
  Arbitrary.map(JsonText.documents({ duplicates: false }), ({ choices, document }) => {
    const written = JsonText.print(document.root)
    const open = parents.filter((key) => isObject(fields[key])).map((key) => `${JSON.stringify(key)}:${written}`)
    const others = written.slice(1, -1)
    const members =
      others.trim() === ""
        ? open
        : choices.of([
            [others, ...open],
            [...open, others]
          ])
    return Json.patch(`{${members.join(",")}}`, put(fields))
  })

/**
 * The texts of the largest parts of an item that neither are nor contain a path of `owned`, each with its path.
 *
 * Two items with the same list differ in nothing but what is owned; a `null` or an absence where something owned could be
 * counts as owned too.
 */
export const outside = (text: string, owned: ReadonlyArray<Path>): ReadonlyArray<readonly [string, string]> => {
  const startsWith = (whole: Path, start: Path): boolean => start.every((step, index) => whole[index] === step)
  const visit = (value: unknown, path: Path): ReadonlyArray<readonly [string, string]> => {
    if (owned.some((each) => startsWith(path, each))) return []
    const holdsOwned = owned.some((each) => startsWith(each, path))
    if (!holdsOwned) return [[path.join("."), Json.slice(text, path) ?? ""]]
    if (Array.isArray(value)) return value.flatMap((item, index) => visit(item, [...path, index]))
    if (typeof value !== "object" || value === null) return []
    return Object.entries(value).flatMap(([key, item]) => visit(item, [...path, key]))
  }
  return visit(JSON.parse(text), [])
}
