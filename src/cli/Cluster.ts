/** The cluster that a command looks at: where kubectl would look for it, with the reader's own rights, for reading only. */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Forbidden, Kubernetes, type KubernetesError } from "../kubernetes/Kubernetes.ts"

/** Named as kubectl names them. */
export const kubeconfig = Flag.String("kubeconfig").pipe(
  Flag.optional,
  Flag.withMetavar("FILE"),
  Flag.withDescription("The kubeconfig (default: as kubectl: KUBECONFIG, ~/.kube/config, a pod's service account)")
)

export const context = Flag.String("context").pipe(
  Flag.optional,
  Flag.withMetavar("NAME"),
  Flag.withDescription("Context of the kubeconfig (default: its current one)")
)

export const veleroNamespace = Flag.String("velero-namespace").pipe(
  Flag.withDefault("velero"),
  Flag.withMetavar("NAMESPACE"),
  Flag.withDescription("Where Velero's server runs (default: velero)")
)

/** Which cluster, by these flags. */
export interface Choice {
  readonly kubeconfig: Option.Option<string>
  readonly context: Option.Option<string>
}

/** The cluster that was chosen. It is connected to at the first call. */
export const layer = ({ context, kubeconfig }: Choice): Layer.Layer<Kubernetes> =>
  Layer.unwrap(
    Effect.promise(async () =>
      (await import("../kubernetes/ApiServer.ts")).layerWith({
        kubeconfig: Option.getOrUndefined(kubeconfig),
        context: Option.getOrUndefined(context)
      })
    )
  )

/** Here it is the reader who lacks a right, and not Velero. */
const yours = (problem: KubernetesError): KubernetesError =>
  problem._tag === "Forbidden" && problem.remedy === undefined
    ? new Forbidden({ ...problem, remedy: "Run this as somebody who may" })
    : problem

const changesNothing = () => Effect.die(new Error("this command changes nothing in a cluster"))

/** A cluster, for somebody who only reads. */
export const readOnly: Layer.Layer<Kubernetes, never, Kubernetes> = Layer.effect(
  Kubernetes,
  Effect.map(Kubernetes, ({ fold, get }) =>
    Kubernetes.of({
      get: (resource, namespace, name) => Effect.mapError(get(resource, namespace, name), yours),
      fold: (resource, selection, initial, step) => Effect.mapError(fold(resource, selection, initial, step), yours),
      apply: changesNothing,
      delete: changesNothing
    })
  )
)
