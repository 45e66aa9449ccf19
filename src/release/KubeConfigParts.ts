/** What `@kubernetes/client-node`'s `KubeConfig` needs of the index that `Bundle.ts` leaves out. */
export { createConfiguration } from "@kubernetes/client-node/dist/gen/configuration.js"
export { ServerConfiguration } from "@kubernetes/client-node/dist/gen/servers.js"
