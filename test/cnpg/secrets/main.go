// Writes generated.json beside it: what the CloudNativePG operator writes into the Secrets that it generates, in two namespaces.
//
//	go run test/cnpg/secrets/main.go > test/cnpg/secrets/generated.json && npx oxfmt test/cnpg/secrets
//
// The strings are made as CreateSecret of CloudNativePG 1.30.0 makes them:
// https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/specs/secrets.go
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
)

const serverPort = 5432

type connectionStringBuilder struct {
	host     string
	dbname   string
	username string
	password string
}

func (c connectionStringBuilder) buildPostgres() string {
	postgresURI := url.URL{
		Scheme: "postgresql",
		User:   url.UserPassword(c.username, c.password),
		Host:   c.host,
		Path:   c.dbname,
	}
	return postgresURI.String()
}

func (c connectionStringBuilder) buildJdbc() string {
	jdbcURI := &url.URL{Scheme: "jdbc:postgresql", Host: c.host, Path: c.dbname}
	q := jdbcURI.Query()
	q.Set("user", c.username)
	q.Set("password", c.password)
	jdbcURI.RawQuery = q.Encode()
	return jdbcURI.String()
}

func createSecret(hostname, namespace, domain, dbname, username, password string) map[string]string {
	namespaced := connectionStringBuilder{fmt.Sprintf("%s.%s:%d", hostname, namespace, serverPort), dbname, username, password}
	fqdn := connectionStringBuilder{
		fmt.Sprintf("%s.%s.svc.%s:%d", hostname, namespace, domain, serverPort), dbname, username, password,
	}
	return map[string]string{
		"username":      username,
		"user":          username,
		"password":      password,
		"dbname":        dbname,
		"host":          hostname,
		"port":          fmt.Sprintf("%d", serverPort),
		"pgpass":        fmt.Sprintf("%v:%v:%v:%v:%v\n", hostname, serverPort, dbname, username, password),
		"uri":           namespaced.buildPostgres(),
		"jdbc-uri":      namespaced.buildJdbc(),
		"fqdn-uri":      fqdn.buildPostgres(),
		"fqdn-jdbc-uri": fqdn.buildJdbc(),
	}
}

type secret struct {
	Title    string            `json:"title"`
	From     string            `json:"from"`
	To       string            `json:"to"`
	Original map[string]string `json:"original"`
	Moved    map[string]string `json:"moved"`
}

func main() {
	secrets := []secret{}
	add := func(title, cluster, from, to, domain, dbname, username, password string) {
		secrets = append(secrets, secret{
			title, from, to,
			createSecret(cluster+"-rw", from, domain, dbname, username, password),
			createSecret(cluster+"-rw", to, domain, dbname, username, password),
		})
	}
	passwords := []string{
		"fake-password",
		"@:/?#%",
		"%2F%40%%zz",
		"a b+c&d=e;f,g$h",
		"$&$1$$$`$'",
		"\"quotes'`\\back",
		"ünïcödé…😀",
		"user:pass@[::1]",
		"orders-rw.shop",
		"orders-rw.shop.svc.cluster.local:5432",
		"x@orders-rw.shop:5432/y",
		"//orders-rw.shop/",
		"jdbc:postgresql://orders-rw.shop:5432/",
		"",
	}
	for _, password := range passwords {
		add("password "+password, "orders", "shop", "shop-restored", "cluster.local", "orders", "orders_owner", password)
	}
	add("superuser", "orders", "shop", "shop2", "cluster.local", "*", "postgres", "fake")
	add("cluster domain corp.example", "orders", "shop", "shop2", "corp.example", "orders", "orders", "fake")
	add("cluster domain k8s", "orders", "shop", "shop2", "k8s", "orders", "orders", "fake")
	add("cluster domain shop", "orders", "shop", "shop2", "shop", "orders", "orders", "fake")
	add("cluster domain svc.shop.svc", "orders", "shop", "shop2", "svc.shop.svc", "orders", "orders", "fake")
	add("user with @ and /", "orders", "shop", "shop2", "cluster.local", "orders", "me@orders-rw.shop/x:y", "fake")
	add("user named as the namespace", "orders", "shop", "shop2", "cluster.local", "shop", "shop", "shop")
	add("database my db/x?y#z", "orders", "shop", "shop2", "cluster.local", "my db/x?y#z", "orders", "fake")
	add("database @orders-rw.shop", "orders", "shop", "shop2", "cluster.local", "@orders-rw.shop:5432", "orders", "fake")
	add("cluster named as the namespace", "shop", "shop", "shop2", "cluster.local", "shop", "shop", "fake")
	add("namespace svc", "orders", "svc", "shop", "cluster.local", "orders", "orders", "fake")
	add("into namespace svc", "orders", "shop", "svc", "cluster.local", "orders", "orders", "fake")
	add("namespaces of one letter", "o", "a", "b", "a.b", "a", "a", "a")
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(secrets); err != nil {
		panic(err)
	}
}
