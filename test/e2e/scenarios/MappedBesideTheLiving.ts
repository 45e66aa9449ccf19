/** A backup is restored into another namespace while the old one lives: the copy recovers, and the living one does not notice. */
import * as Crypto from "node:crypto"
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import type { Saved, Strings } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

// Neither name is a part of the other, so that a host of the one cannot be taken for a host of the other.
const [living, copy] = ["living", "beside"]

/** What can be read in a value of a Secret: its text, and of a certificate the hosts that it is for. */
const readable = (value: string): string => {
  const text = Buffer.from(value, "base64").toString("utf8")
  return text.startsWith("-----BEGIN CERTIFICATE") ? (new Crypto.X509Certificate(text).subjectAltName ?? "") : text
}

/** Keys of a Secret that name a host in a namespace. */
const hostsIn = (namespace: string, { data = {} }: Saved<{ readonly data?: Strings }>): ReadonlyArray<string> =>
  Object.entries(data).flatMap(([key, value]) => (readable(value).includes(`.${namespace}`) ? [key] : []))

/** No Secret of the copy leads to the living database. */
export const verifySecrets = Effect.fnUntraced(function* (namespace: string, old: string) {
  const { api } = yield* Stand
  const secrets = yield* api.list(Objects.secrets, namespace)
  for (const secret of secrets) {
    const { name } = secret.metadata
    yield* Verify.equal(`keys of Secret ${name} that name a host in ${old}`, hostsIn(old, secret), [])
  }
  const app = secrets.find(({ metadata }) => metadata.name === `${Shop.cluster}-app`)
  yield* Verify.that(
    `Secret ${Shop.cluster}-app leads to the database in ${namespace}`,
    readable(app?.data?.["uri"] ?? "").includes(`@${Shop.cluster}-rw.${namespace}:`),
    app === undefined ? "no Secret" : readable(app.data?.["uri"] ?? "").replace(/:[^:@]*@/, ":***@")
  )
})

/** The copy's service accounts get the rights, not the living ones. */
const verifySubjects = Effect.fnUntraced(function* (namespace: string) {
  const { api } = yield* Stand
  for (const { metadata, subjects = [] } of yield* api.list(Objects.roleBindings, namespace)) {
    const places = subjects.map((subject) => subject.namespace)
    yield* Verify.equal(`whom RoleBinding ${metadata.name} is for`, [...new Set(places)], [namespace])
  }
})

export const mappedBesideTheLiving: Scenario = {
  name: "mapped-beside-living",
  expected:
    "the copy recovers from orders-v1; the living namespace is untouched, and no Secret of the copy leads there",
  core: true,
  run: Effect.gen(function* () {
    const old = yield* Shop.create(living)
    const before = yield* Namespace.untilQuiet(living)
    const backup = yield* Velero.backUp([living])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const restore = yield* Velero.restore(backup, Velero.mapping({ [living]: copy }))
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destination = yield* Verify.attempt(Recovery.verify({ namespace: copy, name: Shop.cluster }, Shop.source))
    yield* Recovery.verifyNoOldBackups(copy, old)
    yield* Recovery.verifySchedule(copy, Shop.schedule)
    yield* verifySecrets(copy, living)
    yield* verifySubjects(copy)
    const after = yield* Namespace.snapshot(living)
    yield* Verify.equal("objects of the living namespace that changed", Namespace.differences(before, after), [])
    return `the copy recovers from ${Shop.source.serverName}, archives under ${destination}; ${after.size} objects of the living namespace are as they were`
  })
}
