/**
 * Kubernetes objects from manifests: YAML with any number of documents, JSON, and `kind: List`.
 *
 * Numbers keep the spelling of the file, so that a preview shows what a cluster would: `yaml` hands them out with their source.
 */
import * as Fs from "node:fs"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { isScalar, parseAllDocuments, visit } from "yaml"
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
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const objectsOf = (file: string, value: unknown): Result.Result<ReadonlyArray<KubernetesObject>, ManifestError> => {
  if (value === null || value === undefined) return Result.succeed([])
  if (!isObject(value)) return Result.fail(new ManifestError({ file, detail: "a document is not a Kubernetes object" }))
  const kind = value["kind"]
  if (typeof kind !== "string" || typeof value["apiVersion"] !== "string") {
    return Result.fail(new ManifestError({ file, detail: "a document has no apiVersion or no kind" }))
  }
  const items = value["items"]
  if (kind.endsWith("List") && Array.isArray(items)) {
    return items.reduce<Result.Result<ReadonlyArray<KubernetesObject>, ManifestError>>(
      (found, item) =>
        Result.flatMap(found, (objects) => Result.map(objectsOf(file, item), (more) => [...objects, ...more])),
      Result.succeed([])
    )
  }
  const metadata = value["metadata"]
  if (!isObject(metadata) || typeof metadata["name"] !== "string") {
    return Result.fail(new ManifestError({ file, detail: `a ${kind} has no metadata.name` }))
  }
  return Result.succeed([value as KubernetesObject])
}

/** Objects of a text; `file` names it in errors. Numbers that JavaScript would respell are `JSON.rawJSON` values. */
export const parse = (file: string, text: string): Result.Result<ReadonlyArray<KubernetesObject>, ManifestError> => {
  const documents = parseAllDocuments(text, { prettyErrors: true })
  return [...documents].reduce<Result.Result<ReadonlyArray<KubernetesObject>, ManifestError>>(
    (found, document) =>
      Result.flatMap(found, (objects) => {
        const [error] = document.errors
        if (error !== undefined) return Result.fail(new ManifestError({ file, detail: error.message }))
        visit(document, {
          Scalar: (_, node) => {
            const source = isScalar(node) ? node.source : undefined
            if (typeof node.value === "number" && source !== undefined && jsonNumber.test(source)) {
              if (String(node.value) !== source) node.value = rawJSON(source)
            }
          }
        })
        return Result.map(objectsOf(file, document.toJS({ maxAliasCount: 1000 })), (more) => [...objects, ...more])
      }),
    Result.succeed([])
  )
}

const unreadable = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return "code" in cause && cause.code === "ENOENT" ? "there is no such file" : cause.message
}

/** Objects of files, in order; `-` is standard input. */
export const load = (files: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<KubernetesObject>, ManifestError> =>
  Effect.map(
    Effect.forEach(files, (file) =>
      Effect.try({
        try: () => Fs.readFileSync(file === "-" ? 0 : file, "utf8"),
        catch: (cause) => new ManifestError({ file, detail: unreadable(cause) })
      }).pipe(Effect.flatMap((text) => Effect.fromResult(parse(file === "-" ? "standard input" : file, text))))
    ),
    (objects) => objects.flat()
  )

/** A cluster that holds the objects of files. */
export const layer = (files: ReadonlyArray<string>): Layer.Layer<Kubernetes, ManifestError> =>
  Layer.unwrap(Effect.map(load(files), (objects) => Memory.layer(objects)))
