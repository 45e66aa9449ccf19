/**
 * One Kubernetes object as Velero hands it to a plugin and takes it back.
 *
 * An item is text that is read through a *view* (a schema of the few fields that an action needs) and changed by patches;
 * whatever an action does not patch comes back byte for byte (see `Json.ts`). An unchanged item is the very bytes that came.
 *
 * @module
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { JsonObject, Patch } from "./Json.ts"
import * as Json from "./Json.ts"

/** The bytes are not the JSON of one Kubernetes object. */
export class MalformedItem extends Data.TaggedError("MalformedItem")<{ readonly detail: string }> {
  override get message() {
    return `the item is not a Kubernetes object in JSON: ${this.detail}`
  }
}

/** A Kubernetes object with its text. */
export interface Item {
  /** UTF-8 JSON, as received or as patched. */
  readonly bytes: Uint8Array
  readonly text: string
  /** For reading only; numbers may have lost digits. */
  readonly tree: JsonObject
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Reads the JSON of one object. The error never quotes the input, which may be a Secret. */
export const parse = (bytes: Uint8Array): Result.Result<Item, MalformedItem> => {
  if (bytes.length === 0) return Result.fail(new MalformedItem({ detail: "it is empty" }))
  return Result.flatMap(
    Result.try({
      try: () => {
        const text = decoder.decode(bytes)
        return { bytes, text, tree: JSON.parse(text) as Json.Json }
      },
      catch: (cause) => new MalformedItem({ detail: cause instanceof SyntaxError ? "invalid JSON" : messageOf(cause) })
    }),
    ({ text, tree }) =>
      tree !== null && typeof tree === "object" && !Array.isArray(tree)
        ? Result.succeed({ bytes, text, tree: tree as JsonObject })
        : Result.fail(new MalformedItem({ detail: "the JSON is no object" }))
  )
}

/** An item from an object of ours: tests, previews. */
export const fromObject = (object: JsonObject): Item => {
  const text = JSON.stringify(object)
  return { bytes: encoder.encode(text), text, tree: object }
}

/**
 * Applies patches; the same item comes back where they change nothing.
 *
 * @example
 * ```ts
 * import * as Item from "velero-plugin-cnpg/velero/Item"
 * import * as Json from "velero-plugin-cnpg/velero/Json"
 *
 * const item = Item.fromObject({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace: "shop" } })
 * Item.patch(item, [Json.set(["kind"], "Deployment")]) === item // => true
 * Item.patch(item, [Json.set(["spec", "replicas"], 2)]).tree["spec"] // => { replicas: 2 }
 * Item.describe(Item.identity(item)) // => "Deployment.apps shop/web"
 * ```
 */
export const patch = (item: Item, patches: ReadonlyArray<Patch>): Item => {
  const text = Json.patch(item.text, patches)
  if (text === item.text) return item
  let tree: JsonObject | undefined
  return {
    bytes: encoder.encode(text),
    text,
    get tree() {
      return (tree ??= JSON.parse(text) as JsonObject)
    }
  }
}

const at = (tree: Json.Json | undefined, key: string): Json.Json | undefined =>
  tree !== null && typeof tree === "object" && !Array.isArray(tree) ? (tree as JsonObject)[key] : undefined

const stringAt = (tree: Json.Json | undefined, key: string): string => {
  const value = at(tree, key)
  return typeof value === "string" ? value : ""
}

/** What names an object in a message: `Cluster.postgresql.cnpg.io shop/orders`; missing parts are empty. */
export interface Identity {
  /** Go's `schema.GroupKind` spelling, `Cluster.postgresql.cnpg.io` or `Pod`. */
  readonly groupKind: string
  readonly namespace: string
  readonly name: string
}

/** Identity of any item, however broken. */
export const identity = (item: Item): Identity => {
  const apiVersion = stringAt(item.tree, "apiVersion")
  const kind = stringAt(item.tree, "kind")
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : ""
  const metadata = at(item.tree, "metadata")
  return {
    groupKind: group === "" ? kind : `${kind}.${group}`,
    namespace: stringAt(metadata, "namespace"),
    name: stringAt(metadata, "name")
  }
}

/** `Cluster.postgresql.cnpg.io shop/orders`, for messages. */
export const describe = ({ groupKind, name, namespace }: Identity): string =>
  `${groupKind === "" ? "item" : groupKind} ${namespace === "" ? name : `${namespace}/${name}`}`
