package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"encoding/base64"
)

// apiServer answers as much as the plugins ask of a Kubernetes API server: TLS,
// HTTP/2 for who wants it, pages, and compression from 128 KiB on, as the real
// one does it. The namespace `backups-N` has N CNPG Backups.
type apiServer struct {
	server     *httptest.Server
	kubeconfig string
	calls      atomic.Int64
	bytes      atomic.Int64

	mu      sync.Mutex
	backups map[int][]json.RawMessage
	bodies  map[string][]byte
}

const compressFrom = 128 * 1024

func startAPIServer(directory string) (*apiServer, error) {
	s := &apiServer{backups: map[int][]json.RawMessage{}, bodies: map[string][]byte{}}
	s.server = httptest.NewUnstartedServer(s)
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	config := mustJSON(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "bench",
		"clusters": []any{object{"name": "bench", "cluster": object{"server": s.server.URL, "certificate-authority-data": base64.StdEncoding.EncodeToString(authority)}}},
		"users":    []any{object{"name": "bench", "user": object{"token": "bench"}}},
		"contexts": []any{object{"name": "bench", "context": object{"cluster": "bench", "user": "bench"}}},
	})
	s.kubeconfig = filepath.Join(directory, "kubeconfig")
	return s, os.WriteFile(s.kubeconfig, config, 0o600)
}

func (s *apiServer) close() { s.server.Close() }

func (s *apiServer) env() string { return "KUBECONFIG=" + s.kubeconfig }

// count runs do and returns how many calls and bytes (of bodies) it cost.
func (s *apiServer) count(do func() error) (calls, sent int64, err error) {
	calls, sent = s.calls.Load(), s.bytes.Load()
	err = do()
	return s.calls.Load() - calls, s.bytes.Load() - sent, err
}

func (s *apiServer) backupsOf(count int) []json.RawMessage {
	if list, known := s.backups[count]; known {
		return list
	}
	list := make([]json.RawMessage, count)
	for index := range list {
		list[index] = mustJSON(cnpgBackup(fmt.Sprintf("backups-%d", count), "orders", index))
	}
	s.backups[count] = list
	return list
}

func (s *apiServer) list(count int, limit int, from int) []byte {
	all := s.backupsOf(count)
	end := len(all)
	meta := object{"resourceVersion": "184467"}
	if limit > 0 && from+limit < end {
		end = from + limit
		meta["continue"] = strconv.Itoa(end)
		meta["remainingItemCount"] = len(all) - end
	}
	return mustJSON(object{"apiVersion": "postgresql.cnpg.io/v1", "kind": "BackupList", "metadata": meta, "items": all[from:end]})
}

var backupsPath = regexp.MustCompile(`^/apis/postgresql\.cnpg\.io/v1/namespaces/backups-(\d+)/backups$`)

func (s *apiServer) answer(r *http.Request) (int, []byte) {
	query := r.URL.Query()
	switch match := backupsPath.FindStringSubmatch(r.URL.Path); {
	case match != nil:
		count, _ := strconv.Atoi(match[1])
		limit, _ := strconv.Atoi(query.Get("limit"))
		from, _ := strconv.Atoi(query.Get("continue"))
		return http.StatusOK, s.list(count, limit, from)
	case r.URL.Path == "/api/v1/namespaces/velero/configmaps":
		return http.StatusOK, mustJSON(object{"apiVersion": "v1", "kind": "ConfigMapList", "metadata": object{"resourceVersion": "184467"}, "items": []any{}})
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	return http.StatusNotFound, mustJSON(object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
		"message": name + " not found", "details": object{"name": name},
	})
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&out, 4)
	_, _ = writer.Write(body)
	_ = writer.Close()
	return out.Bytes()
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	zips := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	key := fmt.Sprint(r.URL.String(), zips)
	status, body := http.StatusOK, s.bodies[key]
	if body == nil {
		status, body = s.answer(r)
		if zips && len(body) >= compressFrom {
			body = compress(body)
		}
		// Made once: the server's own work is not what is measured.
		if status == http.StatusOK {
			s.bodies[key] = body
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(status)
	s.calls.Add(1)
	s.bytes.Add(int64(len(body)))
	_, _ = w.Write(body)
}
