// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <fstream>
#include <string>

#include "launcher/cli/configuration_document.h"
#include "launcher/cli/help.h"

// generate_docs DESCRIPTOR_SET CONFIGURATION HELP HELP_RUN HELP_RENDER: writes the last four files,
// which tools/generate_docs then copies to where they are kept.
int main(int argc, char** argv) {
  using namespace lockstep::launcher;
  if (argc != 6) {
    std::fprintf(stderr,
                 "usage: generate_docs DESCRIPTOR_SET CONFIGURATION HELP HELP_RUN HELP_RENDER\n");
    return 64;
  }
  google::protobuf::FileDescriptorSet sources;
  std::ifstream input(argv[1], std::ios::binary);
  if (!sources.ParseFromIstream(&input)) {
    std::fprintf(stderr, "generate_docs: %s is no descriptor set\n", argv[1]);
    return 64;
  }
  const auto document = ConfigurationDocument(sources);
  if (!document.ok()) {
    std::fprintf(stderr, "generate_docs: %s\n", document.status().message().c_str());
    return 70;
  }
  std::ofstream(argv[2]) << *document;
  std::ofstream(argv[3]) << HelpOnAll();
  std::ofstream(argv[4]) << HelpOnVerb(VerbSpecOf(Verb::kRun));
  std::ofstream(argv[5]) << HelpOnVerb(VerbSpecOf(Verb::kRender));
  return 0;
}
