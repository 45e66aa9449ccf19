/**
 * Kubernetes objects from manifests: YAML with any number of documents, JSON one object after another, and `kind: List`.
 *
 * YAML is read as kubectl reads it, which is YAML 1.1: `defaultMode: 0644` is 420, `yes` is true, `<<` merges. Numbers keep
 * the spelling of the file, so that none is rounded: `yaml` hands them out with their source.
 *
 * @module
 */
import * as Fs from "node:fs"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Document, Scalar, ScalarTag, Tags } from "yaml"
import { parseAllDocuments, visit } from "yaml"
import type { Kubernetes, KubernetesObject } from "./Kubernetes.ts"
import * as Memory from "./Memory.ts"

/** A file cannot be read, or holds something else than Kubernetes objects. */
export class ManifestError extends Data.TaggedError("ManifestError")<{
  readonly file: string
  readonly detail: string
}> {
  override get message() {
    return `${this.file}: ${this.detail}`
  }
}

// The type of `JSON` lacks the proposal that its engine has: https://github.com/tc39/proposal-json-parse-with-source
const { parse: parseJson, rawJSON } = JSON as unknown as {
  readonly parse: (
    text: string,
    revive: (key: string, value: unknown, context: { source?: string }) => unknown
  ) => unknown
  readonly rawJSON: (text: string) => unknown
}

const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Types of YAML 1.1 that are strings to Kubernetes, dates among them. */
const foreignTags = new Set(["binary", "omap", "pairs", "set", "timestamp"].map((name) => `tag:yaml.org,2002:${name}`))

const isForeign = (tag: Tags[number]): boolean =>
  typeof tag !== "string" && (foreignTags.has(tag.tag) || ("format" in tag && tag.format === "TIME"))

/** YAML 1.2's spelling, which kubectl knows too. */
const octal: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  format: "OCT",
  test: /^0o[0-7]+$/,
  resolve: Number
}

/** Where `jq` ends one object and begins the next. */
const betweenObjects = /(?<=\})\s*?\n(?=\{)/

/** The trees of a text that is JSON and nothing else. As YAML, which it is too, it would take a hundred times as long. */
const jsonTrees = (text: string): ReadonlyArray<unknown> | undefined => {
  const trimmed = text.trim()
  if (!trimmed.startsWith("{")) return undefined
  const trees = Result.try(() =>
    trimmed
      .split(betweenObjects)
      .map((object) =>
        parseJson(object, (_, value, { source }) =>
          typeof value === "number" && source !== undefined && String(value) !== source ? rawJSON(source) : value
        )
      )
  )
  return Result.getOrUndefined(trees)
}

/** Keeps the spelling of the numbers of a document; answers with one that JSON does not have, if any. */
const keepNumbers = (document: Document): string | undefined => {
  let wrong: string | undefined
  visit(document, {
    Scalar: (position, node: Scalar) => {
      const { source, value } = node
      if (typeof value !== "number" || source === undefined) return
      if (!jsonNumber.test(source)) wrong = Number.isFinite(value) ? wrong : source
      else if (String(value) === source) return
      // Keys of JSON are strings, for which JavaScript's spelling will do unless it is rounded.
      else if (position !== "key") node.value = rawJSON(source)
      else if (!/[.eE]/.test(source)) node.value = source
    }
  })
  return wrong
}

/** The trees of a YAML text, or what is wrong with a document. */
const yamlTrees = (text: string): ReadonlyArray<Result.Result<unknown, string>> =>
  [
    ...parseAllDocuments(text, {
      version: "1.1",
      customTags: (tags) => [...tags.filter((tag) => !isForeign(tag)), octal]
    })
  ].map((document) => {
    const [error] = document.errors
    if (error !== undefined) return Result.fail(`is not YAML: ${error.message.trim()}`)
    const number = keepNumbers(document)
    if (number !== undefined) return Result.fail(`has the number ${number}, which JSON cannot hold: write another`)
    return Result.try({
      try: () => document.toJS({ maxAliasCount: 1000 }) as unknown,
      // Aliases without an anchor and aliases without end are found only now.
      catch: (cause) => `is not YAML: ${(cause as Error).message}`
    })
  })

/** The items of the API's own lists, such as `ConfigMapList`, come without what their list says already. */
const itemOf = (apiVersion: string, kind: string, item: unknown): unknown =>
  kind !== "List" && isObject(item) && item["kind"] === undefined
    ? { apiVersion, kind: kind.slice(0, -"List".length), ...item }
    : item

/** Calls `found` with each object; answers with what is wrong, and stops there. */
const collect = (value: unknown, place: string, found: (object: KubernetesObject) => void): string | undefined => {
  if (value === null || value === undefined) return undefined
  if (!isObject(value)) return `${place} is not a Kubernetes object: write apiVersion, kind and metadata.name`
  const { apiVersion, items, kind, metadata } = value
  if (typeof kind !== "string" || typeof apiVersion !== "string") {
    return `${place} has no apiVersion or no kind: write both, as strings`
  }
  if (kind.endsWith("List") && (Array.isArray(items) || items === null)) {
    for (const [index, item] of (items ?? []).entries()) {
      const wrong = collect(itemOf(apiVersion, kind, item), `${place}, item ${index + 1}`, found)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }
  if (!isObject(metadata) || typeof metadata["name"] !== "string") {
    return `${place} is a ${kind} without metadata.name: write it, in quotes if it looks like a number`
  }
  found(value as KubernetesObject)
  return undefined
}

/**
 * Objects of a text; `file` names it in errors. Numbers that JavaScript would respell are `JSON.rawJSON` values.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Manifests from "velero-plugin-cnpg/kubernetes/Manifests"
 *
 * const text = `
 * kind: ConfigMap
 * apiVersion: v1
 * metadata: { name: settings }
 * ---
 * kind: Secret
 * apiVersion: v1
 * metadata: { name: token }
 * `
 * Result.map(Manifests.parse("shop.yaml", text), (objects) => objects.map(({ kind }) => kind)) // => Result.succeed(["ConfigMap", "Secret"])
 * Result.isFailure(Manifests.parse("shop.yaml", "kind: ConfigMap")) // => true
 * ```
 */
export const parse = (file: string, text: string): Result.Result<ReadonlyArray<KubernetesObject>, ManifestError> => {
  const fail = (detail: string) => Result.fail(new ManifestError({ file, detail }))
  const objects: Array<KubernetesObject> = []
  for (const [index, read] of (jsonTrees(text)?.map(Result.succeed) ?? yamlTrees(text)).entries()) {
    const place = `document ${index + 1}`
    if (Result.isFailure(read)) return fail(`${place} ${read.failure}`)
    const wrong = collect(read.success, place, (object) => objects.push(object))
    if (wrong !== undefined) return fail(wrong)
  }
  return Result.succeed(objects)
}

/** What a file is called in errors: `-` is standard input. */
export const nameOf = (file: string): string => (file === "-" ? "standard input" : file)

/** The error of a file that the system does not give. */
export const unreadable = (file: string, cause: unknown): ManifestError => {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ManifestError({
    file: nameOf(file),
    detail: `cannot be read (${why}): name a file with manifests, or - for standard input`
  })
}

const read = (file: string): Effect.Effect<string, ManifestError> =>
  Effect.try({
    try: () => Fs.readFileSync(file === "-" ? 0 : file, "utf8"),
    catch: (cause) => unreadable(file, cause)
  })

/** Objects of files, in order; `-` is standard input. */
export const load = (files: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<KubernetesObject>, ManifestError> =>
  Effect.map(
    Effect.forEach(files, (file) => Effect.flatMap(read(file), (text) => Effect.fromResult(parse(nameOf(file), text)))),
    (objects) => objects.flat()
  )

/** A cluster that holds the objects of files. */
export const layer = (files: ReadonlyArray<string>): Layer.Layer<Kubernetes, ManifestError> =>
  Layer.unwrap(Effect.map(load(files), (objects) => Memory.layer(objects)))
