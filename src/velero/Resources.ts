/**
 * How plugins and Velero point at resources: selectors (which items an action is called for) and identifiers (one object).
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/shared.go
 *
 * @module
 */

/**
 * The items that an action is called for. All parts that are given must match.
 *
 * **Gotchas**: write resources in full (`clusters.postgresql.cnpg.io`): Velero resolves them once, before it has restored a
 * CRD, and keeps an unresolved name as it is. At restore `includedNamespaces` is compared with the namespace *after* mapping.
 * With `excludedNamespaces` an action is never called for cluster-scoped items.
 */
export interface ResourceSelector {
  readonly includedNamespaces?: ReadonlyArray<string>
  readonly excludedNamespaces?: ReadonlyArray<string>
  /** `resource.group` or a plain resource of the core group. */
  readonly includedResources?: ReadonlyArray<string>
  readonly excludedResources?: ReadonlyArray<string>
  /** A Kubernetes label selector, such as `app=web,tier!=cache`. */
  readonly labelSelector?: string
}

/** One object in a backup or a cluster; at restore always by its original namespace. */
export interface ResourceIdentifier {
  /** API group, empty for the core group. */
  readonly group: string
  /** Plural, lower case: `secrets`. */
  readonly resource: string
  /** Empty for cluster-scoped objects. */
  readonly namespace: string
  readonly name: string
}
