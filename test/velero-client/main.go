// Command velero-client drives a Velero plugin executable with Velero's own
// client packages (pkg/plugin/clientmgmt and clientmgmt/process), so that a
// plugin not written in Go can be checked against the real host.
//
//	velero-client --plugin-dir DIR [--log-level info] [-- velero server args…]
//	velero-client automtls --plugin FILE [--multiplex] [-- plugin args…]
//
// The first form does what the Velero server does at start: it discovers the
// plugins of DIR (process.Registry.DiscoverPlugins; on failure it writes one
// response with "op":"discover" and exits 1, as the server exits too) and makes
// a clientmgmt.Manager, as a backup does. Then it reads one JSON request per
// line from stdin and writes one JSON response per line to stdout, in order.
// At the end of stdin it calls Manager.CleanupClients and exits 0. The log, as
// `kubectl logs` would show it, goes to stderr.
//
// Arguments after "--" are handed to every plugin, as Velero hands the
// arguments of `velero server` (os.Args[2:]) to them.
//
// See request and response for the fields and ops for the operations.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
)

func main() {
	args := os.Args[1:]
	switch {
	case len(args) > 0 && args[0] == "run-plugins":
		// Registry.DiscoverPlugins starts os.Args[0] with "run-plugins" to list
		// the plugins built into Velero: we are such an executable without any.
		// Without BindFlags the framework ignores the arguments.
		framework.NewServer().Serve()
	case len(args) > 0 && args[0] == "automtls":
		os.Exit(runAutoMTLS(args[1:]))
	default:
		os.Exit(runClient(args))
	}
}

// runClient is the first form of the command; it returns the exit status.
func runClient(args []string) int {
	flags := flag.NewFlagSet("velero-client", flag.ExitOnError)
	pluginDir := flags.String("plugin-dir", "", "the directory with the plugin executables (velero server --plugin-dir)")
	logLevel := flags.String("log-level", "info", "the level of the host's logger")
	_ = flags.Parse(args) // exits on an error
	level, err := logrus.ParseLevel(*logLevel)
	if err != nil || *pluginDir == "" {
		fmt.Fprintln(os.Stderr, "velero-client: --plugin-dir is required and --log-level must be a logrus level:", err)
		return 2
	}
	stdin, err := takeStdin()
	if err != nil {
		fmt.Fprintln(os.Stderr, "velero-client:", err)
		return 2
	}
	setServerArgs(flags.Args())

	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)

	s, err := newSession(*pluginDir, level)
	if err != nil {
		res := failure("discover", err)
		res.Ms = s.discoverMs
		_ = out.Encode(s.finish(res))
		return 1
	}
	// An item and its backup may be larger than bufio.Scanner's line limit.
	lines := bufio.NewReaderSize(stdin, 1<<20)
	for {
		line, readErr := lines.ReadBytes('\n')
		if len(line) > 1 {
			req := new(request)
			var res *response
			if err := json.Unmarshal(line, req); err != nil {
				res = failure("", fmt.Errorf("request: %w", err))
			} else {
				res = s.do(req)
			}
			if err := out.Encode(s.finish(res)); err != nil {
				fmt.Fprintln(os.Stderr, "velero-client:", err)
				return 1
			}
		}
		if readErr != nil {
			s.manager.CleanupClients()
			if readErr != io.EOF {
				fmt.Fprintln(os.Stderr, "velero-client:", readErr)
				return 1
			}
			return 0
		}
	}
}

// takeStdin returns the real stdin and puts /dev/null in its place: go-plugin
// gives the host's os.Stdin to the plugin, which must not read our requests.
// (In a pod, Velero's stdin is /dev/null.)
func takeStdin() (io.Reader, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	stdin := os.Stdin
	os.Stdin = null
	return stdin, nil
}

// setServerArgs makes os.Args that of `velero server extra…`: the registry runs
// os.Args[0] for the built-in plugins, and process.newClientBuilder gives
// os.Args[2:] to every plugin.
func setServerArgs(extra []string) {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	os.Args = append([]string{exe, "server"}, extra...)
}

// do runs one request, with its time limit and with recovery from a panic in
// Velero's own code (such as a ProgressResponse without a progress).
func (s *session) do(req *request) *response {
	if req.DelayMs > 0 {
		time.Sleep(time.Duration(req.DelayMs) * time.Millisecond)
	}
	run, found := ops[req.Op]
	if !found {
		res := failure(req.Op, fmt.Errorf("unknown op %q", req.Op))
		res.ID = req.ID
		return res
	}
	done := make(chan *response, 1)
	started := time.Now()
	go func() {
		defer func() {
			if p := recover(); p != nil {
				res := failure(req.Op, fmt.Errorf("%v", p))
				res.HostPanic = true
				done <- res
			}
		}()
		result, err := run(s, req)
		if err != nil {
			done <- failure(req.Op, err)
			return
		}
		done <- &response{OK: true, Op: req.Op, Result: result}
	}()

	var timeout <-chan time.Time
	if req.TimeoutMs > 0 {
		timeout = time.After(time.Duration(req.TimeoutMs) * time.Millisecond)
	}
	var res *response
	select {
	case res = <-done:
	case <-timeout:
		res = failure(req.Op, fmt.Errorf("no result within %d ms", req.TimeoutMs))
		res.TimedOut = true
	}
	res.ID = req.ID
	res.Ms = milliseconds(time.Since(started))
	s.settle(req)
	return res
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
