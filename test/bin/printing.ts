/** A plugin whose code prints, at every moment at which it can; see `Main.test.ts`. */
import * as Layer from "effect/Layer"
import { main } from "../../src/bin/Main.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as Plugin from "../../src/velero/Plugin.ts"

const action = async () => {
  console.log("the console, when it is loaded")
  process.stdout.write("the stream, when it is loaded\n")
  return (await import("../../src/kyma/ByLabelRestore.ts")).action
}

void main({
  plugins: [Plugin.restoreItemAction("example.com/printing", action)],
  services: Layer.mergeAll(Memory.layer()),
  commands: () => Promise.resolve(1)
})
console.log("the console, before the handshake")
