/** PersistentVolumes that are directories of a node: pure functions over their view. */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as View from "../velero/View.ts"

const Requirement = Schema.Struct({
  key: Schema.String,
  operator: Schema.String,
  values: View.optional(Schema.Array(Schema.String))
})

const Term = Schema.Struct({
  matchExpressions: View.optional(Schema.Array(Requirement)),
  matchFields: View.optional(Schema.Array(Requirement))
})

const Source = Schema.Struct({ path: Schema.String })

/** @see https://pkg.go.dev/k8s.io/api/core/v1#PersistentVolumeSpec */
export const PersistentVolume = Schema.Struct({
  metadata: View.Metadata,
  spec: View.optional(
    Schema.Struct({
      hostPath: View.optional(Source),
      local: View.optional(Source),
      nodeAffinity: View.optional(
        Schema.Struct({
          required: View.optional(Schema.Struct({ nodeSelectorTerms: View.optional(Schema.Array(Term)) }))
        })
      )
    })
  )
})
export type PersistentVolume = typeof PersistentVolume.Type

export const types = ["hostPath", "local"] as const

/** A directory of a node, by the field of the PersistentVolume that names it. */
export interface Volume {
  readonly type: (typeof types)[number]
  /** On the node; absolute. */
  readonly path: string
}

/** An id that no volume of this plugin has. */
export class UnknownVolumeId extends Data.TaggedError("UnknownVolumeId")<{ readonly id: string }> {
  override get message() {
    return `${JSON.stringify(this.id)} is no volume id of this plugin, such as hostPath:/var/lib/data or local:/mnt/disks/a. Use the VolumeSnapshotLocation that the snapshot was taken with`
  }
}

/** The directory of a PersistentVolume; none for volumes of other kinds. */
export const volumeOf = ({ spec }: PersistentVolume): Option.Option<Volume> => {
  const found = types.find((type) => spec?.[type])
  return found === undefined ? Option.none() : Option.some({ type: found, path: spec?.[found]?.path ?? "" })
}

export const idOf = ({ path, type }: Volume): string => `${type}:${path}`

/** Reads an id. Its path is absolute, and has nothing that leads up again. */
export const parseId = (id: string): Result.Result<Volume, UnknownVolumeId> => {
  const [, type, path = ""] = /^(hostPath|local):(\/.*)$/s.exec(id) ?? []
  const isPlain = !path.includes("\0") && !path.split("/").some((part) => part === "." || part === "..")
  return type !== undefined && isPlain
    ? Result.succeed({ type: type as Volume["type"], path })
    : Result.fail(new UnknownVolumeId({ id }))
}

/** The patch that puts another directory behind a PersistentVolume of the same type. */
export const setVolume = ({ path, type }: Volume): ReadonlyArray<Patch> => [Json.set(["spec", type, "path"], path)]

/** Volumes are tied to their node by it. */
export const hostnameLabel = "kubernetes.io/hostname"

/**
 * The nodes that a volume is on, by their names or host names; none where it does not say so. Of a term that names no node nothing
 * is known, so that neither is of the whole.
 */
export const nodesOf = ({ spec }: PersistentVolume): Option.Option<ReadonlyArray<string>> => {
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
  if (terms.length === 0) return Option.none()
  const named = terms.map(({ matchExpressions, matchFields }) =>
    [
      ...(matchExpressions ?? []).filter(({ key }) => key === hostnameLabel),
      ...(matchFields ?? []).filter(({ key }) => key === "metadata.name")
    ]
      .filter(({ operator }) => operator === "In")
      .flatMap(({ values }) => values ?? [])
  )
  return named.some((names) => names.length === 0) ? Option.none() : Option.some([...new Set(named.flat())])
}
