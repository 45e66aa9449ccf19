/** Whole actions on a cluster in memory, with what they log. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Kubernetes, KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import type { RestoreItemAction } from "../../src/velero/RestoreItemAction.ts"
import * as Fixtures from "../velero/Fixtures.ts"

/** The name that an action is registered under does not matter to it. */
export const plugin = "kyma-project.io/tested-plugin"

/** What came of an action. */
export interface Outcome {
  readonly text: string
  /** The very bytes that came, as Velero gets them for an unchanged item. */
  readonly isUntouched: boolean
  readonly skip: boolean
  /** Level and text of what it logged, the steps' debug lines left out. */
  readonly lines: ReadonlyArray<readonly [level: string, message: string]>
}

/** Runs an action on an item, which is text or an object. */
export const run = (
  action: RestoreItemAction<Kubernetes>,
  item: string | KubernetesObject,
  kubernetes: Layer.Layer<Kubernetes> = Memory.layer(),
  namespaceMapping: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function* () {
    const bytes = Fixtures.bytesOf(typeof item === "string" ? item : JSON.stringify(item))
    const log = Fixtures.makeLog()
    const reply = yield* action
      .execute({
        plugin,
        kind: "RestoreItemAction",
        item: bytes,
        itemFromBackup: bytes,
        restore: { metadata: { name: "again", namespace: "velero", uid: "uid-of-again" }, spec: { namespaceMapping } }
      })
      .pipe(Effect.provide(Layer.mergeAll(kubernetes, Fixtures.noConfig, log.layer)))
    const outcome: Outcome = {
      text: reply.item.text,
      isUntouched: reply.item.bytes === bytes,
      skip: reply.skip ?? false,
      lines: log.lines
        .filter((line) => line["@level"] !== "debug")
        .map((line) => [line["@level"] ?? "", line["@message"] ?? ""])
    }
    return outcome
  })

/** An item in one line, spelled as nothing would print it again; `metadata` and `rest` are members of JSON text. */
export const odd = (apiVersion: string, kind: string, metadata: string, rest = ""): string =>
  ` {"zz":1.0,"kind":"${kind}",  "apiVersion":"${apiVersion}" ,"metadata":{"generation":9007199254740993,"name":"one","namespace":"orders"${metadata}}${rest},"\\u0061":1e400}\n`
