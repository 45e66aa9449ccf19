# What flake.nix uses of nixpkgs, as far as evaluation goes: derivations are the attributes that they were given.
let
  mkDerivation = attributes: attributes // { outPath = "@${attributes.name or attributes.pname}@"; };
  package = name: { outPath = "@${name}@"; };
  pkgs = {
    stdenv = { inherit mkDerivation; };
    stdenvNoCC = { inherit mkDerivation; };
    mkShell = mkDerivation';
    nodejs = package "nodejs";
    patchelf = package "patchelf";
    cacert = package "cacert";
    bun = package "bun";
    go = package "go";
  };
  mkDerivation' = attributes: mkDerivation ({ name = "shell"; } // attributes);
in
{
  legacyPackages = {
    x86_64-linux = pkgs;
    aarch64-linux = pkgs;
  };
  lib = {
    inherit (builtins) attrNames;
    genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    # The paths themselves: whoever evaluates sees whether they are there.
    fileset = {
      unions = paths: paths;
      toSource = { root, fileset }: map (path: assert builtins.pathExists path; toString path) fileset;
    };
    fetchers.proxyImpureEnvVars = [ "https_proxy" ];
    licenses.asl20.spdxId = "Apache-2.0";
  };
}
