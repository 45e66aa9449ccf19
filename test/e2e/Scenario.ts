/** A scenario: what is done on a stand, and the one sentence that says what is expected to happen. */
import type * as Effect from "effect/Effect"
import type { Component, OperatorVersion, VeleroVersion } from "./Components.ts"
import type { Given } from "./Given.ts"
import type { Pack } from "./Packs.ts"
import type { Processes } from "./Processes.ts"
import type { Stand, StandError } from "./Stand.ts"
import type { Verify } from "./Verify.ts"

export interface Scenario {
  /** For `--only`. */
  readonly name: string
  readonly expected: string
  /** The packs that Velero has; default: `cnpg` alone. The operator runs where that is among them. */
  readonly packs?: ReadonlyArray<Pack>
  /** Whether it runs on every pair of versions of the full matrix. */
  readonly core?: boolean
  /** Why it does not apply: what this Velero or operator cannot do, whatever the plugin does; or what nobody has given. */
  readonly except?: (pair: Pair, given: Given) => string | undefined
  /** What it takes that the stand does not have. It fails where that cannot be had; the others run all the same. */
  readonly needs?: ReadonlyArray<Component>
  /** Yields what was seen, in a sentence. */
  readonly run: Effect.Effect<string, StandError, Stand | Verify | Processes>
}

export const packsOf = ({ packs = ["cnpg"] }: Scenario): ReadonlyArray<Pack> => packs

/** Versions that run together. */
export interface Pair {
  readonly velero: VeleroVersion
  readonly operator: OperatorVersion
}

/** The minor version of Velero or the operator, if it is the same major one: `1.16.2` is 16. */
export const minor = (version: string): number => Number(version.split(".")[1])

/** Whether Velero obeys an object's own word on its status. */
export const restoresStatuses = (velero: VeleroVersion): boolean => minor(velero) >= 16

export const ignoresRestoreStatus =
  "Velero before 1.16 does not know velero.io/restore-status, and restores the statuses of CNPG's kinds if it is told to restore any"

/** The pair that every scenario runs on. */
export const newest: Pair = { velero: "1.18.3", operator: "1.30.0" }

/** Those that the core scenarios run on besides. */
export const older: ReadonlyArray<Pair> = [
  { velero: "1.17.2", operator: "1.30.0" },
  { velero: "1.16.2", operator: "1.30.0" },
  { velero: "1.14.1", operator: "1.30.0" },
  { velero: "1.18.3", operator: "1.27.0" },
  { velero: "1.18.3", operator: "1.25.1" }
]
