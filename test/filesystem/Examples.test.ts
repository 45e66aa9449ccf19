/** The manifests of `examples/filesystem`: what they say is what the executable understands, and they fit each other. */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Yaml from "yaml"
import * as ObjectStore from "../../src/filesystem/ObjectStore.ts"
import * as VolumeSnapshotter from "../../src/filesystem/VolumeSnapshotter.ts"
import * as Sdk from "../../src/velero/InitConfig.ts"
import { hostKeys } from "../../src/velero/ObjectStore.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import * as Velero from "./Velero.ts"
import * as World from "./World.ts"

const folder = Path.join(import.meta.dirname, "..", "..", "examples", "filesystem")

// Their shapes are Kubernetes'.
// oxlint-disable-next-line typescript/no-explicit-any
const manifests: ReadonlyArray<any> = Fs.readdirSync(folder).flatMap((name) =>
  Yaml.parseAllDocuments(Fs.readFileSync(Path.join(folder, name), "utf8")).map((document) => {
    assert.deepStrictEqual(document.errors, [])
    return document.toJS()
  })
)

const ofKind = (kind: string) => manifests.filter((manifest) => manifest.kind === kind)
const [location] = ofKind("BackupStorageLocation")
const [snapshots] = ofKind("VolumeSnapshotLocation")
const deployments = ofKind("Deployment")
const containers = deployments.flatMap((deployment) => deployment.spec.template.spec.containers)
const sidecar = containers.find(({ name }) => name === "serve-files")

describe("the locations", () => {
  it.effect("have configs that the plugins take", () =>
    Effect.gen(function* () {
      const { bucket } = location.spec.objectStorage
      const decode = Sdk.decoder(ObjectStore.Config, hostKeys)
      assert.strictEqual((yield* decode(location.spec.provider, { ...location.spec.config, bucket })).bucket, bucket)
      yield* Schema.decodeUnknownEffect(VolumeSnapshotter.Config)(snapshots.spec.config)
    })
  )

  it.live("name plugins that the executable has", () =>
    Effect.gen(function* () {
      const TMPDIR = yield* World.directory
      const plugins = yield* VeleroHost.discover({ executable: Velero.executable, env: { TMPDIR } })
      assert.deepStrictEqual(
        plugins.map(({ name }) => name),
        [location.spec.provider, snapshots.spec.provider]
      )
    })
  )

  it("have their directories mounted", () => {
    const paths = containers
      .filter(({ name }) => name === "velero")
      .flatMap(({ volumeMounts }) => volumeMounts.map(({ mountPath }: { readonly mountPath: string }) => mountPath))
    assert.includeMembers(paths, [
      location.spec.config.root,
      snapshots.spec.config.root,
      snapshots.spec.config.hostRoot
    ])
  })
})

describe("the sidecar", () => {
  it.live("runs with its own command, on the location's volume", () =>
    Effect.gen(function* () {
      const root = yield* World.directory
      assert.strictEqual(sidecar.command[0], "/plugins/velero-plugin-filesystem")
      assert.include(sidecar.args, `--root=${location.spec.config.root}`)
      const args = [...sidecar.command.slice(1), ...sidecar.args].map((arg: string) =>
        arg.replace(/^--root=.*/, `--root=${root}`).replace(/^--port=.*/, "--port=0")
      )
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(Velero.executable, args, { env: {}, stdio: ["ignore", "pipe", "inherit"] })),
        (process) => Effect.sync(() => process.kill("SIGKILL"))
      )
      const port = yield* Effect.callback<string>((resume) => {
        createInterface({ input: child.stdout }).on("line", (line) => {
          const found = /on port (\d+)/.exec(line)
          if (found?.[1] !== undefined) resume(Effect.succeed(found[1]))
        })
      })
      const { path } = sidecar.livenessProbe.httpGet
      const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}${path}`))
      assert.strictEqual(answer.status, 200)
    })
  )

  it("is reached on one port, by all names", () => {
    const [{ containerPort, name }] = sidecar.ports
    const [service] = ofKind("Service")
    assert.include(sidecar.args, `--port=${containerPort}`)
    assert.deepStrictEqual(
      service.spec.ports.map(({ targetPort }: { readonly targetPort: string }) => targetPort),
      [name]
    )
    assert.strictEqual(new URL(location.spec.config.publicUrl).port, String(service.spec.ports[0].port))
    assert.isTrue([sidecar.livenessProbe, sidecar.readinessProbe].every(({ httpGet }) => httpGet.port === name))
  })

  it("has every volume that it mounts, or Velero's own", () => {
    const volumes = deployments.flatMap(({ spec }) =>
      spec.template.spec.volumes.map(({ name }: { readonly name: string }) => name)
    )
    const mounts = containers.flatMap(({ volumeMounts }) =>
      volumeMounts.map(({ name }: { readonly name: string }) => name)
    )
    // `velero install` and the chart make this one.
    assert.includeMembers([...volumes, "plugins"], mounts)
  })
})
