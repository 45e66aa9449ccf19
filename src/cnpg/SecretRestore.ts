/**
 * `velero-cnpg/secret-restore-plugin`: moves the connection strings of a Cluster's generated Secrets to the namespace that the
 * Cluster is restored into.
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
}

export interface Decision {
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

/** Which values to change. */
export const transform = ({ data, metadata }: Secret, { from, isGenerated, to }: Facts): Decision => {
  if (!isGenerated || from === to) return { patches: [], notes: [] }
  const changed = Object.entries(moves).flatMap(([key, move]) => {
    const value = data?.[key]
    if (value === undefined) return []
    // A character for each byte: a password need not be UTF-8, and what is searched for is ASCII.
    const text = Buffer.from(value, "base64").toString("latin1")
    const moved = move(text, from, to)
    return moved === text ? [] : [{ key, value: Buffer.from(moved, "latin1").toString("base64") }]
  })
  return {
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

export const action = RestoreItemAction.make({
  selector: { includedResources: ["secrets"], labelSelector: label.cluster },
  decode: Secret,
  fetch: ({ metadata }, { itemFromBackup, restore }) => {
    const from = metadata.namespace ?? ""
    return Effect.succeed<Facts>({
      isGenerated: Option.exists(decodeSecret(itemFromBackup.tree), isGenerated),
      from,
      to: Restore.targetNamespace(restore, from)
    })
  },
  transform: (secret, facts) => Result.succeed(transform(secret, facts)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
