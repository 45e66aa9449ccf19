/**
 * `velero-cnpg/secret-restore-plugin`: leaves the Secrets of a living Cluster alone, and moves the connection strings of a restored
 * one to its namespace.
 *
 * With `existingResourcePolicy: update` Velero would give a living database the certificates and passwords of the one that was
 * backed up. Only then the API is asked: by any other policy Velero keeps what exists.
 *
 * The operator keeps a restored Secret as it is, and its URIs name the host of the *old* namespace: an application restored
 * beside them would talk to the old, living database. Only the hosts of the keys that the operator writes are changed; user,
 * password, port, database and every other key stay.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/specs/secrets.go (CreateSecret)
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as Restore from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import { findLiving } from "./Living.ts"
import { label } from "./Names.ts"
import { isCnpgOwner } from "./Recoveries.ts"

const Secret = Schema.Struct({
  metadata: View.Metadata,
  // Values are base64.
  data: View.optional(View.StringMap)
})
export type Secret = typeof Secret.Type

const decodeSecret = Schema.decodeUnknownOption(Secret)

export interface Facts {
  /** Whether the operator made the Secret. */
  readonly isGenerated: boolean
  readonly from: string
  readonly to: string
  /** The Cluster whose Secret Velero would overwrite; `undefined`: there is none, or Velero overwrites nothing. */
  readonly living: string | undefined
}

export interface Decision {
  readonly skip: boolean
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

/** `service.namespace`, perhaps `.svc` and the cluster's domain behind it. */
const qualifiedHost = (from: string): RegExp => new RegExp(`^([^.]+)\\.${RegExp.escape(from)}(\\.svc(?:\\..*)?)?$`)

/** A host in another namespace; one that does not name `from` stays. */
export const moveHost = (host: string, from: string, to: string): string =>
  host.replace(
    qualifiedHost(from),
    (_, service: string, domain: string | undefined) => `${service}.${to}${domain ?? ""}`
  )

/** `scheme://[user[:password]@]host[:port]/…`: password and query are percent-encoded, so the authority ends at the first `/`. */
const uriPattern = /^((?:jdbc:)?postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^:/?#@]+)(.*)$/s

const moveUri = (uri: string, from: string, to: string): string =>
  uri.replace(uriPattern, (_, before: string, host: string, after: string) => before + moveHost(host, from, to) + after)

/** `host:port:database:user:password` lines. */
const movePgpass = (text: string, from: string, to: string): string =>
  text
    .split("\n")
    .map((line) => {
      const end = line.indexOf(":")
      return end === -1 ? line : moveHost(line.slice(0, end), from, to) + line.slice(end)
    })
    .join("\n")

type Move = (text: string, from: string, to: string) => string

/** The keys that the operator writes with a host in them. */
const moves: Readonly<Record<string, Move>> = {
  uri: moveUri,
  "jdbc-uri": moveUri,
  "fqdn-uri": moveUri,
  "fqdn-jdbc-uri": moveUri,
  host: moveHost,
  pgpass: movePgpass
}

/** Whether to restore a Secret, and which of its values to change. */
export const transform = ({ data, metadata }: Secret, { from, isGenerated, living, to }: Facts): Decision => {
  if (living !== undefined) {
    return {
      skip: true,
      patches: [],
      notes: [
        info(
          `Secret ${from}/${metadata.name} is not restored: Cluster ${to}/${living} lives, and keeps its certificates and passwords`
        )
      ]
    }
  }
  if (!isGenerated || from === to) return { skip: false, patches: [], notes: [] }
  const changed = Object.entries(moves).flatMap(([key, move]) => {
    const value = data?.[key]
    if (value === undefined) return []
    // A character for each byte: a password need not be UTF-8, and what is searched for is ASCII.
    const text = Buffer.from(value, "base64").toString("latin1")
    const moved = move(text, from, to)
    return moved === text ? [] : [{ key, value: Buffer.from(moved, "latin1").toString("base64") }]
  })
  return {
    skip: false,
    patches: changed.map(({ key, value }) => Json.set(["data", key], value)),
    notes:
      changed.length === 0
        ? []
        : [
            info(
              `Secret ${from}/${metadata.name}: ${changed.map(({ key }) => key).join(", ")} now name the database in namespace ${to}`
            )
          ]
  }
}

/** A Secret of the operator's: owned by a Cluster when it was backed up, or labelled so (ownership ends with the first restore). */
const isGenerated = ({ metadata }: Secret): boolean =>
  metadata.labels?.[label.userType] !== undefined ||
  (metadata.ownerReferences ?? []).some((reference) => isCnpgOwner(reference, "Cluster"))

/**
 * The Cluster that a Secret belongs to: its owner, or by its label, or by the names that the operator gives. An owner is lost with
 * the first restore, and the Secrets of certificates have no label (before CNPG 1.30 nothing at all).
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_types.go (the suffixes)
 */
const clusterOf = ({ metadata }: Secret): string | undefined =>
  (metadata.ownerReferences ?? []).find((reference) => isCnpgOwner(reference, "Cluster"))?.name ??
  metadata.labels?.[label.cluster] ??
  /^(.+)-(?:app|ca|replication|server|superuser)$/.exec(metadata.name)?.[1]

export const action = RestoreItemAction.make({
  selector: { includedResources: ["secrets"] },
  decode: Secret,
  fetch: Effect.fnUntraced(function* (secret, { itemFromBackup, restore }) {
    const original = Option.getOrElse(decodeSecret(itemFromBackup.tree), () => secret)
    const from = secret.metadata.namespace ?? ""
    const to = Restore.targetNamespace(restore, from)
    return {
      isGenerated: isGenerated(original),
      from,
      to,
      living: yield* findLiving(clusterOf(original) ?? "", to, restore)
    } satisfies Facts
  }),
  transform: (secret, facts: Facts) => Result.succeed(transform(secret, facts)),
  encode: (item, { notes, patches, skip }) => ({ item: Item.patch(item, patches), skip, notes })
})
