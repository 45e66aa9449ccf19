import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as NewPlugin from "../../src/new-plugin/NewPlugin.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { backup, bytesOf, jsonOf } from "../example/Host.ts"
import { repository, temporaryDirectory } from "../executable/Executable.ts"
import * as Folder from "./Folder.ts"

describe("a name", () => {
  it.each([
    ["my-plugin", "example.com/my-plugin"],
    ["acme.io/stamp2", "acme.io/stamp2"]
  ])("%s is registered as %s", (argument, plugin) => {
    assert.deepStrictEqual(NewPlugin.pluginOf(argument), Result.succeed(plugin))
  })

  it.each(["", "My-Plugin", "my plugin", "-a", "2nd", "../a", "a/b/c", "Acme.io/a", "/a", "a/", "$(id)"])(
    "%j is refused",
    (argument) => {
      assert.isTrue(Result.isFailure(NewPlugin.pluginOf(argument)))
    }
  )
})

describe("the folder", () => {
  const template = { "src/a.ts": `"example.com/my-plugin" my-plugin`, gitignore: "dist/", "package.json": `{"x": ""}` }

  it("has the plugin's name wherever the template has its own, and the versions of the SDK", () => {
    assert.deepStrictEqual(
      NewPlugin.filesOf(template, "acme.io/stamp", { dependency: "1", versions: { x: "2.0.0" } }),
      {
        "src/a.ts": `"acme.io/stamp" stamp`,
        ".gitignore": "dist/",
        "package.json": `{"x": "2.0.0"}`
      }
    )
  })

  it("is not made with a version that the SDK does not have", () => {
    assert.throws(() => NewPlugin.filesOf(template, "acme.io/stamp", { dependency: "1", versions: {} }), "version of x")
  })

  it.live("is not made where something is already, and nothing is touched there", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory()
      Fs.writeFileSync(Path.join(directory, "README.md"), "mine")
      const { code, stderr } = yield* Folder.run(
        repository,
        ...(["npm", "run", "--silent", "new-plugin", "--", "my-plugin", directory] as const)
      )
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr.trim(), `new-plugin: ${directory} is not empty`)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["README.md"])
    })
  )
})

describe("docs/write-a-plugin.md, from an empty folder", () => {
  let directory = ""
  const name = "my-plugin"
  const executable = () => Path.join(directory, "dist", name)

  beforeAll(async () => {
    directory = Fs.mkdtempSync("/tmp/vpn-")
    await Effect.runPromise(
      Effect.gen(function* () {
        yield* Folder.succeed(repository, "npm", "run", "--silent", "new-plugin", "--", name, directory)
        Folder.install(directory)
        yield* Folder.succeed(directory, "npm", "run", "--silent", "build")
      })
    )
    return () => Fs.rmSync(directory, { recursive: true, force: true })
  }, 300_000)

  it.live("passes its own tests", () =>
    Effect.gen(function* () {
      const { stderr } = yield* Folder.succeed(directory, "npm", "test", "--silent")
      assert.include(stderr, " 2 pass\n 0 fail\n")
    })
  )

  it.live("fails them where the action changes what it does not own", () =>
    Effect.gen(function* () {
      const action = Path.join(directory, "src", "Action.ts")
      const text = Fs.readFileSync(action, "utf8")
      Fs.writeFileSync(action, text.replace("patches: [", `patches: [Json.remove(["metadata", "a"]), `))
      const { code, stderr } = yield* Folder.run(directory, "npm", "test", "--silent")
      Fs.writeFileSync(action, text)
      assert.strictEqual(code, 1)
      assert.include(stderr, "(fail) what the action does not own comes back byte for byte")
    })
  )

  it.live("is an executable that Velero discovers, and calls", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const options: VeleroHost.Options = {
          executable: executable(),
          env: { TMPDIR: yield* temporaryDirectory() },
          onLog: ({ fields, message }) => lines.push(`${String(fields["logSource"])} ${message}`)
        }
        const plugin = `example.com/${name}`
        assert.deepStrictEqual(yield* VeleroHost.discover(options), [
          { command: executable(), kind: "BackupItemActionV2", name: plugin }
        ])
        const manager = yield* VeleroHost.manager(options)
        const { backupItemActionV2 } = yield* manager.client
        const { ResourceSelector } = yield* backupItemActionV2.appliesTo({ plugin })
        assert.deepStrictEqual(ResourceSelector?.includedResources, ["configmaps"])
        const item = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "shop" } }
        const stored = yield* backupItemActionV2.execute({ plugin, item: bytesOf(item), backup: bytesOf(backup()) })
        assert.deepStrictEqual(jsonOf(stored.item), {
          ...item,
          metadata: { ...item.metadata, annotations: { [plugin]: "velero/nightly" } }
        })
        assert.deepStrictEqual(lines, [`${plugin}:report settings is in velero/nightly`])
      })
    )
  )

  it.live("shows people what it does, and which version it is", () =>
    Effect.gen(function* () {
      const version = yield* Folder.succeed(directory, executable(), "--version")
      assert.strictEqual(version.stdout.trim(), `${name} v0.1.0`)
      const shown = yield* Folder.succeed(directory, executable(), "preview", "example.yaml")
      assert.include(shown.stdout, `+    example.com/${name}: velero/preview`)
    })
  )

  it.live("has an image whose entry point copies the executable to /target and needs no shell", () =>
    Effect.gen(function* () {
      const dockerfile = Fs.readFileSync(Path.join(directory, "Dockerfile"), "utf8")
      const image = dockerfile.slice(dockerfile.lastIndexOf("\nFROM "))
      assert.match(image, /^\nFROM scratch\n/)
      assert.match(image, /^USER 65532:65532$/m)
      const copied = /^COPY --from=build --chmod=0755 \/build\/(\S+) (\S+)$/m.exec(image)
      assert.strictEqual(copied?.[1], `dist/${name}`)
      const entryPoint = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(image)?.[1] ?? "null") as ReadonlyArray<string>
      assert.include(image, `COPY --from=busybox:1.37.0-musl ${entryPoint[0]} ${entryPoint[0]}\n`)
      assert.deepStrictEqual(entryPoint.slice(2), [copied?.[2], `/target/${name}`])

      // The same words with the directories of this machine in place of the image's and the Pod's; twice, as a Pod starts again.
      const target = yield* temporaryDirectory()
      const here = entryPoint.map((word) => word.replace(copied?.[2] ?? "", executable()).replace("/target", target))
      for (const _ of [1, 2]) yield* Folder.succeed(directory, ...(here as [string, ...Array<string>]))
      assert.deepStrictEqual(Fs.readdirSync(target), [name])
      assert.strictEqual(Fs.statSync(Path.join(target, name)).mode & 0o111, 0o111)
    })
  )

  it.live("offers the SDK and not its inside", () =>
    Effect.gen(function* () {
      const importing = (module: string) =>
        Folder.run(directory, "bun", "-e", `console.log(typeof await import("velero-plugin-cnpg/${module}"))`)
      for (const module of Folder.publicModules) {
        const { code, stderr } = yield* importing(module)
        assert.strictEqual(code, 0, `${module}: ${stderr}`)
      }
      for (const module of ["velero/wire/Registry", "testing/api-server/Store", "go-plugin/Server", "cnpg/Cluster"]) {
        assert.strictEqual((yield* importing(module)).code, 1, module)
      }
    })
  )
})
