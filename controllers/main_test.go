package controllers

import (
	"os"
	"testing"

	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

// api is a real API server for the tests of this package.
var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }
