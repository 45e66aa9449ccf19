package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	hclog "github.com/hashicorp/go-hclog"
	hcplugin "github.com/hashicorp/go-plugin"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// runAutoMTLS starts a plugin with go-plugin itself, as Velero does in
// process.clientBuilder, but with ClientConfig.AutoMTLS and, if asked, with
// GRPCBrokerMultiplex. It prints one JSON line and returns the exit status: 0
// if everything worked and no stranger got in.
func runAutoMTLS(args []string) int {
	flags := flag.NewFlagSet("velero-client automtls", flag.ExitOnError)
	file := flags.String("plugin", "", "the plugin executable")
	multiplex := flags.Bool("multiplex", false, "set GRPCBrokerMultiplex (PLUGIN_MULTIPLEX_GRPC=true)")
	_ = flags.Parse(args) // exits on an error
	if *file == "" {
		fmt.Fprintln(os.Stderr, "velero-client automtls: --plugin is required")
		return 2
	}
	logs := &lineWriter{}
	client := hcplugin.NewClient(&hcplugin.ClientConfig{
		HandshakeConfig:     framework.Handshake(),
		AllowedProtocols:    []hcplugin.Protocol{hcplugin.ProtocolGRPC},
		Plugins:             hcplugin.PluginSet{string(common.PluginKindPluginLister): &framework.PluginListerPlugin{}},
		AutoMTLS:            true,
		GRPCBrokerMultiplex: *multiplex,
		Cmd:                 exec.Command(*file, flags.Args()...),
		Logger:              hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: logs, JSONFormat: true}),
	})

	result, err := talk(client, *multiplex)
	started := time.Now()
	client.Kill()
	result["killedMs"] = milliseconds(time.Since(started))
	result["exited"] = client.Exited()
	result["ok"] = err == nil
	if err != nil {
		result["error"] = err.Error()
	}
	result["logs"] = logs.take()
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if encodeErr := out.Encode(result); encodeErr != nil || err != nil {
		return 1
	}
	return 0
}

// talk dials the plugin, calls it as the host would, and then as strangers
// (except with multiplexing, where the one connection is taken).
func talk(client *hcplugin.Client, multiplex bool) (object, error) {
	result := object{}
	started := time.Now()
	protocol, err := client.Client() // starts the process and dials
	result["startMs"] = milliseconds(time.Since(started))
	if err != nil {
		return result, err
	}
	addr, err := client.Start() // the address of the running one
	if err != nil {
		return result, err
	}
	result["network"], result["address"] = addr.Network(), addr.String()

	dispensed, err := protocol.Dispense(string(common.PluginKindPluginLister))
	if err != nil {
		return result, err
	}
	plugins, err := dispensed.(framework.PluginLister).ListPlugins()
	if err != nil {
		return result, fmt.Errorf("ListPlugins: %w", err)
	}
	listed := []object{}
	for _, id := range plugins {
		listed = append(listed, object{"kind": id.Kind, "name": id.Name, "command": id.Command})
	}
	result["plugins"] = listed

	if err := protocol.Ping(); err != nil {
		return result, fmt.Errorf("Ping: %w", err)
	}
	result["ping"] = true

	var server peer.Peer
	health := healthpb.NewHealthClient(protocol.(*hcplugin.GRPCClient).Conn)
	check, err := health.Check(context.Background(), &healthpb.HealthCheckRequest{Service: hcplugin.GRPCServiceName}, grpc.Peer(&server))
	if err != nil {
		return result, fmt.Errorf("health check: %w", err)
	}
	result["health"] = check.Status.String()
	info, ok := server.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return result, fmt.Errorf("the connection has no TLS: %v", server.AuthInfo)
	}
	leaf := info.State.PeerCertificates[0]
	result["tls"] = object{
		"version":  tls.VersionName(info.State.Version),
		"alpn":     info.State.NegotiatedProtocol,
		"subject":  leaf.Subject.String(),
		"dnsNames": leaf.DNSNames,
		"notAfter": leaf.NotAfter,
	}

	if multiplex {
		return result, nil
	}
	// The same call without TLS, and with TLS but no client certificate.
	refused := object{}
	result["refused"] = refused
	for name, creds := range map[string]credentials.TransportCredentials{
		"plaintext":           insecure.NewCredentials(),
		"noClientCertificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
	} {
		err := stranger(addr, creds)
		if err == nil {
			return result, fmt.Errorf("the plugin answered a stranger (%s)", name)
		}
		refused[name] = err.Error()
	}
	return result, nil
}

// stranger calls the health check over a connection of its own.
func stranger(addr net.Addr, creds credentials.TransportCredentials) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///unused", grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: hcplugin.GRPCServiceName})
	return err
}

// lineWriter keeps the JSON lines of an hclog.Logger.
type lineWriter struct {
	mu    sync.Mutex
	lines []json.RawMessage
}

func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, append([]byte{}, line...))
	return len(line), nil
}

func (w *lineWriter) take() []json.RawMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]json.RawMessage{}, w.lines...)
}
