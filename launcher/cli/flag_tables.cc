// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/flag_tables.h"

#include <algorithm>
#include <cctype>

#include "runtime/base/check.h"

namespace lockstep::launcher {
namespace {

using enum FlagEffect;
using enum FlagEnvironment;
using enum FlagSection;

constexpr FlagSpec kRunFlags[] = {
    {"--np", "-np -n", "N", "Ranks of the whole job, as mpirun counts.", kField,
     "spec.gang.totalProcesses", "", kLockstep, kRanks},
    {"--nproc-per-node", "", "N|auto|cpu|gpu", "Ranks on each node, as torchrun counts [1].",
     kField, "spec.gang.processesPerNode", "", kLockstepAndPet, kRanks},
    {"--nnodes", "", "N[:MAX]", "Nodes [1].", kNodes, "spec.gang.nodes", "", kLockstepAndPet,
     kRanks},
    {"--simulate-hosts", "", "", "Nodes are agents on this machine, each with a name of its own.",
     kField, "spec.placement.simulated", "{}", kNone, kRanks},
    {"--role", "", "NAME", "ROLE_NAME of the ranks.", kField, "spec.gang.role", "", kLockstepAndPet,
     kRanks},
    {"--master-addr", "", "HOST", "MASTER_ADDR [loopback].", kField, "spec.gang.masterAddress", "",
     kLockstepAndPet, kRanks},
    {"--master-port", "", "PORT", "MASTER_PORT [a free one, kept for the job].", kField,
     "spec.gang.masterPort", "", kLockstepAndPet, kRanks},

    {"--host", "-host -H", "HOST[:N],..", "Hosts that ssh reaches, with N ranks each; repeatable.",
     kHosts, "spec.placement.ssh.hosts", "", kNone, kMachines},
    {"--hostfile", "-hostfile --machinefile -machinefile", "FILE",
     "One host a line: [USER@]HOST [slots=N].", kCommand, "", "", kNone, kMachines},
    {"--ssh-user", "", "USER", "Whom to log in as.", kField, "spec.placement.ssh.user", "",
     kLockstep, kMachines},
    {"--ssh-port", "", "PORT", "Port of every host's sshd.", kField, "spec.placement.ssh.port", "",
     kLockstep, kMachines},
    {"--ssh-identity", "", "FILE", "Private key.", kField, "spec.placement.ssh.identityFile", "",
     kLockstep, kMachines},
    {"--ssh-config", "", "FILE", "ssh's configuration [~/.ssh/config].", kField,
     "spec.placement.ssh.configFile", "", kLockstep, kMachines},
    {"--stage", "", "", "Copy PROGRAM to the hosts.", kField, "spec.placement.ssh.stage", "", kNone,
     kMachines},
    {"--port-range", "", "N-M", "Where the first agent and the ranks listen [any free port].",
     kField, "spec.placement.ports", "", kLockstep, kMachines},
    {"--join-timeout", "", "TIME", "How long the job waits for all nodes [1m].", kSeconds,
     "spec.placement.joinTimeout", "", kLockstep, kMachines},
    {"--heartbeat-interval", "", "TIME", "How often an agent says that it lives [250ms].", kSeconds,
     "spec.placement.heartbeat", "", kLockstep, kMachines},
    {"--lease", "", "TIME", "How long it counts as alive after that [2s].", kSeconds,
     "spec.placement.lease", "", kLockstep, kMachines},

    {"--rdzv-endpoint", "", "HOST:PORT",
     "Where the nodes meet; HOST is one of them [--master-addr].", kJoin,
     "spec.placement.join.endpoint", "", kLockstepAndPet, kSameLine,
     "ranks of one node need no rendezvous; --master-addr and --master-port say where they meet"},
    {"--rdzv-id", "", "ID", "What tells this job from others that meet there.", kJoin,
     "spec.placement.join.id", "", kLockstepAndPet, kSameLine,
     "ranks of one node need no rendezvous; --name names the job"},
    {"--node-rank", "", "K|auto", "This node's place, 0 the first [auto: in the order they come].",
     kJoin, "", "", kLockstepAndPet, kSameLine},
    {"--token-file", "", "FILE", "The secret by which the job's agents know each other.", kJoin,
     "spec.placement.join.tokenFile", "", kLockstep, kSameLine, "ranks of one node need no token"},
    {"--allow-plain", "", "", "Let agents in without a secret, unencrypted.", kJoin,
     "spec.placement.join.allowPlain", "", kNone, kSameLine, "ranks of one node need no token"},
    {"--local-addr", "", "HOST", "What the other nodes reach this one by [found out].", kJoin, "",
     "", kLockstepAndPet, kSameLine,
     "one node advertises no address; --master-addr says where ranks meet"},
    {"--rdzv-conf", "", "K=V,..", "join_timeout=SECONDS, is_host=1: this node is HOST.", kJoin, "",
     "", kLockstepAndPet, kSameLine, "ranks of one node need no rendezvous"},
    {"--rdzv-backend", "", "NAME", "torchrun's; agents meet in one way, whatever it says.", kJoin,
     "", "", kLockstepAndPet, kSameLine, "ranks of one node need no rendezvous"},

    {"--module", "-m", "", "PROGRAM is a Python module: python -u -m PROGRAM.", kField,
     "spec.program.kind", "PythonModule", kLockstepAndPet, kProgram},
    {"--no-python", "", "", "Execute PROGRAM as it is, also if it ends in .py.", kField,
     "spec.program.kind", "Executable", kLockstepAndPet, kProgram},
    {"--run-path", "", "", "Run PROGRAM by Python's runpy.run_path: a folder or zip file.", kField,
     "spec.program.kind", "PythonPath", kLockstepAndPet, kProgram},
    {"--python", "", "PATH", "Python to use, after $PYTHON_EXEC [python3 on PATH].", kField,
     "spec.program.python", "", kLockstep, kProgram},
    {"--env", "-x", "NAME=VALUE", "Add to the ranks' environment; repeatable.", kVariable,
     "spec.program.env", "", kNone, kProgram},
    {"--working-dir", "--wdir -wdir", "DIR", "Where ranks start [here].", kField,
     "spec.program.workingDirectory", "", kLockstep, kProgram},
    {"--checkpoint-dir", "", "DIR", "Where the job's state is kept between restarts.", kField,
     "spec.checkpoint.directory", "", kLockstep, kProgram},
    {"--mpi", "", "auto|pmix|pmi1|none",
     "How an MPI program's ranks meet [auto: as its library does].", kWord, "spec.program.mpi", "",
     kLockstep, kProgram},
    {"--backend", "", "host|mpi|nccl", "What groups of ranks go over [host].", kWord,
     "spec.collectives.backend", "", kLockstep, kProgram},
    {"--check", "", "fast|strict", "Over MPI and NCCL, compare calls before each op [fast].", kWord,
     "spec.collectives.check", "", kLockstep, kProgram},
    {"--encrypt-data", "", "", "Encrypt what groups say between machines, over TCP.", kField,
     "spec.collectives.encryptData", "", kLockstep, kProgram},
    {"--tcp-flows", "", "N", "Connections over which two ranks divide large data [1].", kField,
     "spec.collectives.tcpFlows", "", kLockstep, kProgram},
    {"--tcp-link", "", "US,GB_PER_S", "What the network costs [measured].", kField,
     "spec.collectives.tcpLink", "", kLockstep, kProgram},

    {"--file", "-f", "FILE", "Read a TrainingJob (YAML or JSON; - is stdin).", kCommand, "", "",
     kNone, kSpec},
    {"--set", "", "PATH=VALUE", "Set any field of it, as spec.grace.userStop=5s; repeatable.",
     kSetting, "", "", kNone, kSpec},
    {"--name", "", "NAME", "Name of the job [made from PROGRAM].", kField, "metadata.name", "",
     kLockstep, kSpec},
    {"--print-config", "", "", "Print the TrainingJob and each field's source; run nothing.",
     kCommand, "", "", kNone, kSpec},
    {"--detach", "", "", "Return when the job has started; see lockstep ps.", kCommand, "", "",
     kNone, kSpec},

    {"--max-restarts", "", "N", "Restarts of the gang that the job may use [0].", kField,
     "spec.restart.maxRestarts", "", kLockstepAndPet, kFailures},
    {"--on-rank-failure", "", "teardown|keep", "What becomes of the other ranks [teardown].", kWord,
     "spec.restart.onRankFailure", "", kLockstep, kFailures},
    {"--min-ranks", "", "N", "With keep: fewest ranks that the job goes on with [1].", kField,
     "spec.restart.minRanks", "", kLockstep, kFailures},
    {"--on-hang", "", "ACTION", "report, dump, restart, fail or abort a gang that hangs [restart].",
     kWord, "spec.hangs.action", "", kLockstep, kFailures},
    {"--hang-grace", "", "TIME", "Time that ranks wait for another before it is said [2s].",
     kSeconds, "spec.hangs.grace", "", kLockstep, kFailures},
    {"--hang-action-after", "", "TIME",
     "Before one that may be healthy is blamed [--hang-grace, or 1m].", kSeconds,
     "spec.hangs.actionAfter", "", kLockstep, kFailures},
    {"--hang-init-deadline", "", "TIME", "And before one that has not begun yet is [2m].", kSeconds,
     "spec.hangs.initDeadline", "", kLockstep, kFailures},
    {"--hang-deadline", "", "TIME", "And before one in a declared phase is [5m].", kSeconds,
     "spec.hangs.deadline", "", kLockstep, kFailures},
    {"--watch", "", "off|mpi|nccl|auto", "Record MPI or NCCL calls of programs not ours [auto].",
     kWord, "spec.hangs.watch", "", kLockstep, kFailures},
    {"--grace", "", "TIME", "TERM to KILL after a rank failed [2s]; a bare number is seconds.",
     kSeconds, "spec.grace.peerFailure", "", kLockstep, kFailures},
    {"--shutdown-timeout", "", "TIME",
     "TERM to KILL after Ctrl-C or lockstep stop [30s]; likewise.", kSeconds, "spec.grace.userStop",
     "", kLockstepAndPet, kFailures},

    {"--log-dir", "", "DIR", "Folder of the ranks' output files [in the job directory].", kField,
     "spec.logs.directory", "", kLockstepAndPet, kOutput},
    {"--log-max-file", "", "SIZE", "Size at which a file is rotated, as 64Mi [never].", kField,
     "spec.logs.maxFileBytes", "", kLockstep, kOutput},
    {"--log-keep", "", "N", "Rotated files that are kept of each stream of a rank [4].", kField,
     "spec.logs.keepFiles", "", kLockstep, kOutput},
    {"--log-max-total", "", "SIZE", "Most that all files of the job hold on a node [no limit].",
     kField, "spec.logs.maxTotalBytes", "", kLockstep, kOutput},
    {"--redirects", "-r", "0-3|RANK:0-3,..",
     "To files alone: 0 nothing [0], 1 stdout, 2 stderr, 3 both.", kStreams, "spec.logs.redirects",
     "", kLockstepAndPet, kOutput},
    {"--tee", "-t", "0-3|RANK:0-3,..", "To files and console, whatever -r says.", kStreams,
     "spec.logs.tee", "", kLockstepAndPet, kOutput},
    {"--stdin", "", "RANK|none", "The rank that reads this command's stdin [0; detached: none].",
     kField, "spec.logs.stdin", "", kLockstep, kOutput},
    {"--line-buffered", "", "", "Give ranks a terminal as stdout: lines come as they are made.",
     kField, "spec.logs.lineBuffered", "", kLockstep, kOutput},
    {"--metrics-file", "", "FILE", "Write metrics for Prometheus there, every 10 s [none].", kField,
     "spec.metrics.file", "", kLockstep, kOutput},
    {"--log-prefix", "", "", "Begin console lines with their rank [true]; --log-prefix=false.",
     kField, "spec.logs.prefix", "", kLockstep, kOutput},

    {"--standalone", "", "", "torchrun", kNothing, "", "", kLockstepAndPet, kCompatibility, ""},
    {"--monitor-interval", "", "SECONDS", "torchrun", kNothing, "", "", kLockstepAndPet,
     kCompatibility,
     "it is meaningless here: the end of a rank is noticed at once, not by polling"},
    {"--start-method", "", "NAME", "torchrun", kNothing, "", "", kLockstepAndPet, kCompatibility,
     "each rank is a program of its own, executed anew"},
    {"--logs-specs", "", "NAME", "torchrun", kNothing, "", "", kLockstepAndPet, kCompatibility,
     "output is kept as --log-dir, -r and -t say"},
    {"--event-log-handler", "", "NAME", "torchrun", kNothing, "", "", kNone, kCompatibility,
     "events are always written to the job directory"},
    {"--signals-to-handle", "", "LIST", "torchrun", kNothing, "", "", kNone, kCompatibility,
     "INT, TERM, HUP, QUIT end the job, USR1 and USR2 are passed on"},
    {"--numa-binding", "", "KIND", "torchrun", kNothing, "", "", kNone, kCompatibility,
     "ranks are not bound to cores"},
    {"--bind-to", "-bind-to", "none", "mpirun", kNothing, "", "", kNone, kCompatibility,
     "ranks are not bound to cores"},
    {"--oversubscribe", "-oversubscribe", "", "mpirun", kNothing, "", "", kNone, kCompatibility,
     ""},
    {"--allow-run-as-root", "-allow-run-as-root", "", "mpirun", kNothing, "", "", kNone,
     kCompatibility, ""},
};

constexpr FlagSpec kRenderFlags[] = {
    {"--to", "", "env|processes|agents", "What to print."},
    {"--rank", "", "RANK", "Of env and processes: of this rank alone [all]."},
    {"--all", "", "", "Of env: also what ranks inherit from this command's environment."},
    {"--json", "", "", "One JSON array."},
};

constexpr FlagSpec kExecFlags[] = {
    {"--name", "", "NAME", "Name of the job [made from PROGRAM]."},
    {"--job", "", "KEY", "Tells this job's ranks from other jobs' [what the launcher says]."},
    {"--checkpoint-dir", "", "DIR", "Where the job's state is kept between its starts."},
    {"--backend", "", "host|mpi|nccl", "What groups of ranks go over [what the program says]."},
    {"--check", "", "fast|strict", "Over MPI and NCCL, compare calls before each op [fast]."},
    {"--watch", "", "off|mpi|nccl|auto",
     "Record MPI or NCCL calls of programs [auto on one host]."},
    {"--on-hang", "", "report|kill", "What becomes of ranks that stand still [report]."},
    {"--hang-grace", "", "TIME", "Time that ranks wait for another before it is said [2s]."},
    {"--hang-action-after", "", "TIME",
     "Before one that may be healthy is blamed [--hang-grace, or 1m]."},
    {"--hang-init-deadline", "", "TIME", "And before one that has not begun yet is [2m]."},
    {"--hang-deadline", "", "TIME", "And before one in a declared phase is [5m]."},
};

constexpr FlagSpec kPsFlags[] = {
    {"--all", "-a", "", "Also jobs that have ended, are lost, or run on another host."},
    {"--json", "", "", "One JSON array."},
    {"--quiet", "-q", "", "Ids alone."},
};

constexpr FlagSpec kStatusFlags[] = {
    {"--json", "", "", "One JSON object."},
};

constexpr FlagSpec kTopFlags[] = {
    {"--once", "", "", "One look, of all ranks, without the whole of a terminal."},
    {"--json", "", "", "A JSON object of each look, in a line."},
};

constexpr FlagSpec kStacksFlags[] = {
    {"--rank", "", "RANK", "All threads of this rank [where each rank stands]."},
    {"--json", "", "", "One JSON object."},
};

constexpr FlagSpec kDiagnoseFlags[] = {
    {"--json", "", "", "A verdict as one JSON object."},
    {"--export-flight-recorder", "", "DIR",
     "Also write the ranks' recorders into DIR, as dumps of PyTorch's."},
};

constexpr FlagSpec kLogsFlags[] = {
    {"--rank", "", "RANK", "Of this rank alone, byte by byte as it wrote them."},
    {"--round", "", "N", "Of this round [the last]; round 0 is the first start."},
    {"--stream", "", "stdout|stderr", "One stream alone [both]."},
    {"--tail", "-n", "N", "The last N lines of each file [all]."},
    {"--follow", "-f", "", "Go on until the job has ended."},
};

constexpr FlagSpec kHangsFlags[] = {
    {"--grace", "", "TIME", "Time that ranks wait for another before it is said."},
    {"--action-after", "", "TIME", "And before one that may be healthy is blamed."},
    {"--init-deadline", "", "TIME", "And before one that has not begun yet is."},
    {"--deadline", "", "TIME", "And before one in a declared phase is."},
};

constexpr FlagSpec kStopFlags[] = {
    {"--now", "", "", "Without the grace that the job would have."},
    {"--no-wait", "", "", "Return when the job was told, not when it has ended."},
};

constexpr FlagSpec kRmFlags[] = {
    {"--force", "-f", "", "Stop it first, without grace."},
};

constexpr FlagSpec kPruneFlags[] = {
    {"--older", "", "TIME", "Those that ended longer ago than this: 7d, 12h [0s: all]."},
};

constexpr FlagSpec kBenchFlags[] = {
    {"--np", "-np", "N", "Ranks [2]."},
    {"--backend", "", "NAME", "host, tcp, wide, mpi, nccl; theirs: openmpi, mpich, gloo [host]."},
    {"--compare", "", "NAME,..", "Peers of the same run; floor: what an op must cost."},
    {"--buffers", "", "KIND", "Of host, tcp, wide, floor: registered, plain, both [registered]."},
    {"--interface", "", "NAME", "Of tcp, wide and peers: the network they use [the loopback]."},
    {"--netns", "", "NAME,..", "Of tcp, wide and peers: network namespaces, one for each rank."},
    {"--op", "-o", "OP", "all_reduce, reduce, broadcast, all_gather, ... [all_reduce]."},
    {"--dtype", "-d", "TYPE", "f32, f64, f16, bf16, f8e4m3, f8e5m2, i8 to u64, bool [f32]."},
    {"--redop", "", "REDUCTION", "sum, prod, min, max, avg, ... [sum]."},
    {"--root", "-r", "RANK", "Of reduce, broadcast, gather and scatter [0]."},
    {"--begin", "-b", "BYTES", "The least size: 4096, 4K, 16M [8]."},
    {"--end", "-e", "BYTES", "The greatest size [16M]."},
    {"--factor", "-f", "N", "Each size is N times the one before [4]."},
    {"--increment", "-i", "BYTES", "Each size is BYTES more than the one before."},
    {"--iterations", "-n --iters", "N", "Timed ops of each round [20]."},
    {"--warmups", "-w --warmup-iters", "N", "Ops before them [5]."},
    {"--warmup-bytes", "", "BYTES", "And more until they are of BYTES together, or 4096 [0]."},
    {"--rounds", "", "N", "Times that all take turns, at least 5 [7]."},
    {"--check", "-c", "0|1", "Compare every element of a result with the right one [1]."},
    {"--check-calls", "", "", "Of mpi and nccl: calls compared, beside the same without."},
    {"--encrypt-data", "", "", "Of tcp and wide: encrypted, beside the same unencrypted."},
    {"--tcp-flows", "", "N", "Of tcp and wide: N connections a pair, beside the same with 1."},
    {"--statistics", "-I", "", "Also min, p50, p95, p99, max and variation of all iterations."},
    {"--json", "-J", "FILE", "Write everything into FILE."},
    {"--plot", "", "FILE", "Draw size against time, as SVG."},
    {"--timeout", "-T", "TIME", "How long a gang may take for one answer [60s]."},
    {"--allow-pressure", "", "", "Count rounds too in which the machine was busy; marked."},
    {"--capabilities", "", "", "Print what each backend can do, and measure nothing."},
};

constexpr VerbSpec kVerbs[] = {
    {Verb::kRun, "run", "[FLAGS] PROGRAM [ARGS]  |  lockstep run [FLAGS] -f FILE",
     "Runs a job, on this machine or on several.",
     "Flags end at PROGRAM, or at --. A PROGRAM that ends in .py is run by Python; `torchrun ...` "
     "and\n"
     "`python -m torch.distributed.run ...` are read as torchrun's command line. Each wins over "
     "the "
     "one\n"
     "before: defaults [in brackets], FILE, environment (LOCKSTEP_ or PET_MAX_RESTARTS), --set, "
     "flags.\n",
     "  lockstep run -np 4 ./train --lr 0.1\n"
     "  lockstep run --host a:4,b:4 --max-restarts=3 train.py --epochs 2\n"
     "  lockstep run --detach --name mnist -np 4 train.py && lockstep logs mnist --follow\n",
     kRunFlags, 0, SIZE_MAX, true},
    {Verb::kRender, "render", "--to env|processes|agents [FLAGS] PROGRAM [ARGS]  |  ... -f FILE",
     "Prints what would run where, and starts nothing.",
     "Takes a job as `lockstep run` does: its flags (lockstep help run), environment, FILE, "
     "PROGRAM.\n"
     "  env        the variables of each rank: those that Lockstep and the job set; secrets "
     "redacted\n"
     "  processes  each rank's place, working directory and command\n"
     "  agents     the nodes: host, slots, ranks, and how the agent there is started\n"
     "What is not known before a job starts is shown as <chosen at start>.\n",
     "  lockstep render --to env --rank 0 -np 4 ./train\n"
     "  lockstep render --to processes -f job.yaml\n"
     "  lockstep render --to agents --json --simulate-hosts --nnodes 2 -np 5 ./train\n",
     kRenderFlags, 0, SIZE_MAX, true, kRunFlags},
    {Verb::kExec, "exec", "[FLAGS] [--] PROGRAM [ARGS]",
     "Makes a rank that mpirun, srun or a loop has started a rank of Lockstep.",
     "Flags end at PROGRAM, or at --; everything after belongs to the program. The rank's place "
     "comes\n"
     "from the first of these that is there: HOROVOD_RANK, OMPI_COMM_WORLD_RANK, PMI_RANK, "
     "PMIX_RANK,\n"
     "SLURM_PROCID (in a step), RANK; each with its size, local rank and local size. The process "
     "then\n"
     "becomes PROGRAM: its exit status, output and signals stay with who has started it.\n",
     "  mpirun -np 4 lockstep exec -- ./train --lr 0.1\n"
     "  mpirun -np 4 lockstep exec --backend mpi -- ./train\n"
     "  srun -n 8 lockstep exec --checkpoint-dir /data/night -- ./train\n"
     "  lockstep ps && lockstep status train\n",
     kExecFlags, 1, SIZE_MAX, true},
    {Verb::kPs, "ps", "[FLAGS]", "Lists your jobs.", "",
     "  lockstep ps\n  lockstep ps --all --json\n", kPsFlags, 0, 0},
    {Verb::kStatus, "status", "[FLAGS] JOB", "Says what a job and each of its ranks is doing.",
     "JOB is an id, the beginning of one, or a name.\n",
     "  lockstep status mnist\n  lockstep status mnist --json\n", kStatusFlags, 1, 1},
    {Verb::kTop, "top", "[FLAGS] JOB", "Shows what a job's ranks do, each second anew.",
     "JOB is an id, the beginning of one, or a name. On the whole of a terminal, until q, Ctrl-C\n"
     "or the job's end; arrows and page keys scroll. Where standard output is no terminal: once,\n"
     "as --once. A rank that keeps the others waiting is marked with *, one that has been waited\n"
     "for for a second with >.\n",
     "  lockstep top mnist\n  lockstep top mnist --once\n  lockstep top mnist --json | jq .pace\n",
     kTopFlags, 1, 1},
    {Verb::kMetrics,
     "metrics",
     "JOB",
     "Prints a job's metrics as Prometheus reads them.",
     "JOB is an id, the beginning of one, or a name. `lockstep run --metrics-file` has them\n"
     "written into a file every 10 s.\n",
     "  lockstep metrics mnist\n",
     {},
     1,
     1},
    {Verb::kStacks, "stacks", "[FLAGS] JOB", "Says where in its program each rank stands.",
     "JOB is an id, the beginning of one, or a name. Of ranks on other machines the agents there\n"
     "tell it. Those that stand in one place are told together, most ranks first. Threads are\n"
     "held for some milliseconds, and go on. Of Python programs where they are in Python is told\n"
     "when py-spy is on PATH.\n",
     "  lockstep stacks mnist\n  lockstep stacks mnist --rank 3\n", kStacksFlags, 1, 1},
    {Verb::kDiagnose, "diagnose", "[FLAGS] JOB|DIR|FILE...", "Says why a gang stood still.",
     "JOB is an id, the beginning of one, or a name: of its last round that has evidence. DIR is a "
     "folder\n"
     "of evidence (round-N/evidence in a job's directory). FILEs, or a folder of them, are what "
     "another\n"
     "tool has left of a job that Lockstep need not have started: dumps of PyTorch's flight "
     "recorder\n"
     "(pickle or JSON, one of each rank, its name ending with the rank), or reports of NCCL's RAS "
     "(text or\n"
     "JSON, better two of them).\n",
     "  lockstep diagnose mnist\n  lockstep diagnose --json ./evidence\n"
     "  lockstep diagnose /tmp/nccl_trace_rank_*\n"
     "  ncclras -f json >1.json; sleep 5; ncclras -f json >2.json; lockstep diagnose 1.json "
     "2.json\n"
     "  lockstep diagnose --export-flight-recorder ./fr mnist\n",
     kDiagnoseFlags, 1, SIZE_MAX},
    {Verb::kLogs, "logs", "[FLAGS] JOB", "Prints what ranks wrote.",
     "JOB is an id, the beginning of one, or a name.\n",
     "  lockstep logs mnist\n  lockstep logs mnist --rank 3 --tail 20\n  lockstep logs mnist "
     "--follow\n",
     kLogsFlags, 1, 1},
    {Verb::kHangs, "hangs", "[FLAGS] JOB", "Says, or changes, how long ranks of a job may wait.",
     "JOB is an id, the beginning of one, or a name. What is changed holds from now on, as long "
     "as\n"
     "the job runs.\n",
     "  lockstep hangs mnist\n  lockstep hangs mnist --action-after 10m\n", kHangsFlags, 1, 1},
    {Verb::kStop, "stop", "[FLAGS] JOB", "Ends a job, as SIGTERM to its `lockstep run` would.",
     "JOB is an id, the beginning of one, or a name.\n",
     "  lockstep stop mnist\n  lockstep stop --now mnist\n", kStopFlags, 1, 1},
    {Verb::kRm, "rm", "[FLAGS] JOB", "Removes the directory of a job that has ended.",
     "JOB is an id, the beginning of one, or a name.\n",
     "  lockstep rm mnist\n  lockstep rm --force mnist\n", kRmFlags, 1, 1},
    {Verb::kPrune, "prune", "[FLAGS]", "Removes the directories of all jobs that have ended.", "",
     "  lockstep prune --older 7d\n", kPruneFlags, 0, 0},
    {Verb::kBench, "bench", "[FLAGS]", "Measures collectives, ours and others' in the same run.",
     "Flags and columns are those of nccl-tests. All who take part are started first and take\n"
     "turns, round by round; of a peer all knob sets do, and the best at each size counts. Ratios\n"
     "come with an interval, and only from rounds in which the machine did no other work.\n",
     "  lockstep bench -np 2 -b 4K -e 16M\n"
     "  lockstep bench -np 2 --compare openmpi,mpich,gloo -o all_reduce -b 4K -e 16M -J out.json\n"
     "  lockstep bench -np 2 --buffers both --compare openmpi --plot out.svg\n"
     "  lockstep bench -np 2 --backend mpi --compare openmpi,mpich\n"
     "  lockstep bench -np 2 --backend mpi --check-calls\n"
     "  lockstep bench --capabilities\n",
     kBenchFlags, 0, 0},
    {Verb::kVersion, "version", "", "Prints the version.", "", "  lockstep version\n", {}, 0, 0},
    {Verb::kHelp,
     "help",
     "[VERB]",
     "Explains a verb and its flags.",
     "",
     "  lockstep help run\n",
     {},
     0,
     1},
};

// Compares what follows the dashes, '_' as '-'.
bool SameFlag(std::string_view a, std::string_view b) {
  if (!b.starts_with("--")) return a == b;
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return x == y || ((x == '_' || x == '-') && (y == '_' || y == '-'));
  });
}

bool HasSpelling(const FlagSpec& flag, std::string_view spelling) {
  if (SameFlag(flag.name, spelling)) return true;
  for (std::string_view rest = flag.aliases; !rest.empty();) {
    const size_t blank = std::min(rest.find(' '), rest.size());
    if (SameFlag(rest.substr(0, blank), spelling)) return true;
    rest.remove_prefix(std::min(blank + 1, rest.size()));
  }
  return false;
}

}  // namespace

std::span<const VerbSpec> Verbs() { return kVerbs; }

const VerbSpec& VerbSpecOf(Verb verb) {
  const auto* found = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                   [&](const VerbSpec& v) { return v.verb == verb; });
  LOCKSTEP_CHECK(found != std::end(kVerbs), "every verb has a row");
  return *found;
}

const VerbSpec* FindVerb(std::string_view name) {
  const auto* found = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                   [&](const VerbSpec& v) { return v.name == name; });
  return found == std::end(kVerbs) ? nullptr : found;
}

const FlagSpec* FindFlag(const VerbSpec& verb, std::string_view spelling) {
  for (const std::span<const FlagSpec> flags : {verb.flags, verb.further_flags}) {
    for (const FlagSpec& flag : flags) {
      if (HasSpelling(flag, spelling)) return &flag;
    }
  }
  return nullptr;
}

std::string FlagVariable(const FlagSpec& flag, std::string_view prefix) {
  std::string name(prefix);
  for (const char c : flag.name.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string_view SectionName(FlagSection section) {
  switch (section) {
    case kRanks: return "Ranks";
    case kMachines: return "Several machines";
    case kSameLine: return "Several nodes, by the same line on each, as torchrun";
    case kProgram: return "Program";
    case kSpec: return "Job";
    case kFailures: return "Failures";
    case kOutput: return "Output";
    case kCompatibility: return "Accepted from torchrun and mpirun, without effect";
  }
  return "";
}

}  // namespace lockstep::launcher
