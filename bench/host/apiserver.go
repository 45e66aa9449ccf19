package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// apiServer answers as much as the plugins ask of a Kubernetes API server: TLS,
// HTTP/2 for who wants it, pages, and compression from 128 KiB on, as the real
// one does it. The namespace `backups-N` has N CNPG Backups of the Cluster
// `orders`, `fleet-C-B` has C Clusters with B Backups each; every other
// namespace is empty.
type apiServer struct {
	server     *httptest.Server
	kubeconfig string
	calls      atomic.Int64
	bytes      atomic.Int64
	refused    atomic.Int64
	// perSecond is how many calls it takes, as by priority and fairness; none
	// means all.
	perSecond atomic.Int64

	mu      sync.Mutex
	backups map[string][]json.RawMessage
	bodies  map[string][]byte
	second  int64
	taken   int64
}

const compressFrom = 128 * 1024

func startAPIServer(directory string) (*apiServer, error) {
	s := &apiServer{backups: map[string][]json.RawMessage{}, bodies: map[string][]byte{}}
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

func clusterName(index int) string { return fmt.Sprintf("orders-%d", index) }

// backupsOf are the Backups of a namespace.
func (s *apiServer) backupsOf(namespace string) []json.RawMessage {
	if list, known := s.backups[namespace]; known {
		return list
	}
	list := []json.RawMessage{}
	var count, clusters, each int
	if _, err := fmt.Sscanf(namespace, "backups-%d", &count); err == nil {
		for index := range count {
			list = append(list, mustJSON(cnpgBackup(namespace, "orders", index)))
		}
	} else if _, err := fmt.Sscanf(namespace, "fleet-%d-%d", &clusters, &each); err == nil {
		for index := range clusters * each {
			list = append(list, mustJSON(cnpgBackup(namespace, clusterName(index%clusters), index)))
		}
	}
	s.backups[namespace] = list
	return list
}

// list is a page of objects.
func list[T any](kind string, all []T, query url.Values) []byte {
	limit, _ := strconv.Atoi(query.Get("limit"))
	from, _ := strconv.Atoi(query.Get("continue"))
	end := len(all)
	meta := object{"resourceVersion": "184467"}
	if limit > 0 && from+limit < end {
		end = from + limit
		meta["continue"] = strconv.Itoa(end)
		meta["remainingItemCount"] = len(all) - end
	}
	return mustJSON(object{"apiVersion": "v1", "kind": kind, "metadata": meta, "items": all[from:end]})
}

var (
	backupsPath   = regexp.MustCompile(`^/apis/postgresql\.cnpg\.io/v1/namespaces/([^/]+)/backups$`)
	clusterPath   = regexp.MustCompile(`^/apis/postgresql\.cnpg\.io/v1/namespaces/(fleet-[^/]+)/clusters/([^/]+)$`)
	namespacePath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)$`)
	listPath      = regexp.MustCompile(`/(clusters|configmaps|services|jobs|objectstores)$`)
)

// answer is the status and body of a call that is taken.
func (s *apiServer) answer(r *http.Request, sent []byte) (int, []byte) {
	path := r.URL.Path
	if r.Method != http.MethodGet {
		// What is applied, created or updated is what comes back.
		return http.StatusOK, sent
	}
	if match := backupsPath.FindStringSubmatch(path); match != nil {
		return http.StatusOK, list("BackupList", s.backupsOf(match[1]), r.URL.Query())
	}
	if match := clusterPath.FindStringSubmatch(path); match != nil {
		return http.StatusOK, cluster(match[1], match[2])
	}
	if match := namespacePath.FindStringSubmatch(path); match != nil {
		return http.StatusOK, mustJSON(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": match[1]}})
	}
	if listPath.MatchString(path) {
		return http.StatusOK, list("List", []any{}, r.URL.Query())
	}
	name := path[strings.LastIndex(path, "/")+1:]
	return http.StatusNotFound, mustJSON(object{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
		"message": name + " not found", "details": object{"name": name},
	})
}

// takes says whether a call is within the limit of its second.
func (s *apiServer) takes() bool {
	limit := s.perSecond.Load()
	if limit == 0 {
		return true
	}
	if now := time.Now().Unix(); now != s.second {
		s.second, s.taken = now, 0
	}
	s.taken++
	return s.taken <= limit
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&out, 4)
	_, _ = writer.Write(body)
	_ = writer.Close()
	return out.Bytes()
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	if !s.takes() {
		s.mu.Unlock()
		s.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	zips := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
	key := fmt.Sprint(r.URL.String(), zips)
	status, body := http.StatusOK, s.bodies[key]
	if body == nil || r.Method != http.MethodGet {
		status, body = s.answer(r, sent)
		if zips && len(body) >= compressFrom {
			body = compress(body)
		}
		// Made once: the server's own work is not what is measured.
		if status == http.StatusOK && r.Method == http.MethodGet {
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
