package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	"github.com/vmware-tanzu/velero/pkg/plugin/generated"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience is how long a candidate may take to start or to end.
const patience = 30 * time.Second

// process is a candidate that runs.
type process struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	conn    *grpc.ClientConn
	plugins []*generated.PluginIdentifier
	// Since the start of the process.
	handshake, listed time.Duration
}

// startProcess does what Velero does up to the list of plugins: it starts the
// executable, reads the handshake line, dials, and asks.
func startProcess(c candidate, file string, env ...string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.Command(file, append(append([]string{}, c.Args...), "--log-level", "info", "--features", "")...)
	handshake := framework.Handshake()
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=/nonexistent",
		handshake.MagicCookieKey + "=" + handshake.MagicCookieValue,
		"PLUGIN_MIN_PORT=10000",
		"PLUGIN_MAX_PORT=25000",
		"PLUGIN_PROTOCOL_VERSIONS=" + strconv.Itoa(int(handshake.ProtocolVersion)),
	}, append(env, c.Env...)...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	p.handshake = time.Since(started)
	timer.Stop()
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	parts := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(parts) < 5 || parts[2] != "unix" || parts[4] != string(plugin.ProtocolGRPC) {
		p.kill()
		return nil, fmt.Errorf("%s: no handshake: %q (%v)", file, line, err)
	}
	p.conn, err = grpc.NewClient("unix:"+parts[3],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		p.kill()
		return nil, err
	}
	list, err := generated.NewPluginListerClient(p.conn).ListPlugins(context.Background(), &generated.Empty{})
	p.listed = time.Since(started)
	if err != nil {
		p.kill()
		return nil, err
	}
	p.plugins = list.Plugins
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// named finds the plugin of a kind.
func (p *process) named(kind common.PluginKind, name string) bool {
	for _, id := range p.plugins {
		if id.Kind == string(kind) && (name == "" || id.Name == name) {
			return true
		}
	}
	return false
}

// stop asks the process to end, as go-plugin's client does, and says how long
// it took.
func (p *process) stop() (time.Duration, error) {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// A server that ends at once may break the call off.
	_ = p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &generated.Empty{}, &generated.Empty{})
	_ = p.conn.Close()
	select {
	case <-p.ended:
		return time.Since(asked), nil
	case <-ctx.Done():
		p.kill()
		return 0, fmt.Errorf("the process did not end within %s", patience)
	}
}

// cpu is what an ended process used, user and system, in seconds.
func (p *process) cpu() float64 {
	<-p.ended
	usage := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

var statusLine = regexp.MustCompile(`(?m)^(\w+):\s+(\d+) kB$`)

// memory reads fields of /proc/PID/status, in MiB: VmRSS, RssAnon, VmHWM.
func (p *process) memory() (map[string]float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	fields := map[string]float64{}
	for _, match := range statusLine.FindAllStringSubmatch(string(status), -1) {
		kib, _ := strconv.ParseFloat(match[2], 64)
		fields[match[1]] = kib / 1024
	}
	return fields, nil
}
