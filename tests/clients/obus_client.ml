(* SPDX-License-Identifier: LGPL-2.1-or-later *)

(* A disk, a VM that has it, and what can go wrong: a client with obus.

       ocamlfind ocamlopt -thread -package obus,lwt_ppx -linkpkg obus_client.ml -o obus_client
       ./obus_client ADDRESS DIRECTORY         of the bus; an empty one, for the disk

   Debian: libobus-ocaml-dev, ocaml-findlib. *)

open Printf
open OBus_value
open OBus_interfaces.Org_freedesktop_DBus_Properties

let storage = "org.xen.xcp.storage"
let xenopsd = "org.xen.xcp.xenopsd"
let record = C.dict C.string C.variant          (* a{sv} *)
let strings = C.dict C.string C.basic_string    (* a{ss} *)
let object_path = C.basic_object_path

(* The peer has the service's name, not the unique name of its owner: that one ends when the service is restarted, or moves. *)
let proxy bus service path = OBus_proxy.make ~peer:(OBus_peer.make ~connection:bus ~name:service) ~path

(* Waits for the end of a task. Returns its result; raises its error as if the method had failed with it. *)
let follow task =
  let interface = "org.xen.xcp.Task1" in
  let%lwt changes = OBus_signal.connect (OBus_signal.make s_PropertiesChanged task) in
  let changes = Lwt_react.E.to_stream changes in
  let rec wait state =
    let get name typ = C.cast_single typ (List.assoc name state) in
    printf "%s: %3.0f%% %s\n%!" (get "Description" C.basic_string) (100. *. get "Progress" C.basic_double) (get "State" C.basic_string);
    match get "State" C.basic_string with
    | "Succeeded" -> Lwt.return (get "Result" record)
    | "Failed" | "Cancelled" ->
      let name, message, _details = get "Error" (C.structure (C.seq3 C.basic_string C.basic_string record)) in
      Lwt.fail (OBus_error.make name message)
    | _ ->
      let%lwt _interface, changed, _invalidated = Lwt_stream.next changes in
      wait (changed @ state)
  in
  let%lwt state = OBus_method.call m_GetAll task interface in
  (wait state) [%lwt.finally OBus_proxy.call task ~interface ~member:"Destroy" ~i_args:C.seq0 ~o_args:C.seq0 ()]

(* Calls a method. Types are said with every call: i_args what it takes, o_args what it returns. *)
let call proxy interface member ~i_args ~o_args args = OBus_proxy.call proxy ~interface ~member ~i_args ~o_args args

(* Calls a method that returns a task, and follows that. *)
let run proxy interface member i_args args =
  let%lwt task = call proxy interface member ~i_args ~o_args:(C.seq1 object_path) args in
  follow (OBus_proxy.make ~peer:(OBus_proxy.peer proxy) ~path:task)

let main address directory =
  let%lwt bus = OBus_bus.of_addresses (OBus_address.of_string address) in
  let%lwt names = OBus_bus.list_names bus and activatable = OBus_bus.list_activatable_names bus in
  List.sort_uniq compare (names @ activatable)
  |> List.filter (fun name -> String.length name > 12 && String.sub name 0 12 = "org.xen.xcp.")
  |> List.iter (printf "Service %s\n");

  let manager = proxy bus storage ["org"; "xen"; "xcp"; "storage"] in
  let%lwt interfaces, _children = OBus_proxy.introspect manager in
  List.iter (fun (name, _members, _annotations) -> printf "Interface %s\n" name) interfaces;
  let config = C.make_single strings ["path", directory] in
  let spec = ["name", V.basic_string "local"; "driver", V.basic_string "directory"; "config", config] in
  let%lwt result = run manager "org.xen.xcp.storage1.Manager" "CreateSR" (C.seq1 record) spec in
  let sr = proxy bus storage (C.cast_single object_path (List.assoc "sr" result)) in
  let spec = ["name", V.basic_string "root"; "size", V.basic_uint64 67108864L] in
  let%lwt result = run sr "org.xen.xcp.storage1.SR" "CreateVDI" (C.seq1 record) spec in
  let vdi = C.cast_single object_path (List.assoc "vdi" result) in
  let summary = C.structure (C.seq4 object_path C.basic_string C.basic_string C.basic_uint64) in
  let%lwt disks = call sr "org.xen.xcp.storage1.SR" "ListVDIs" ~i_args:C.seq0 ~o_args:(C.seq1 (C.array summary)) () in
  List.iter (fun (_path, _uuid, name, size) -> printf "Disk %s %Ld\n" name size) disks;

  let manager = proxy bus xenopsd ["org"; "xen"; "xcp"; "xenopsd"] in
  let disks = C.make_single (C.array record) [["vdi", V.basic_object_path vdi]] in
  let options = C.make_single strings ["start", "1000"] in
  let spec = ["name", V.basic_string "web"; "backend", V.basic_string "noop"; "backend_options", options; "disks", disks] in
  let%lwt path = call manager "org.xen.xcp.xenopsd1.Manager" "Create" ~i_args:(C.seq1 record) ~o_args:(C.seq1 object_path) spec in
  let vm = proxy bus xenopsd path and vm_interface = "org.xen.xcp.xenopsd1.VM" in
  let state_changed =
    OBus_member.Signal.make ~interface:vm_interface ~member:"StateChanged" ~annotations:[]
      ~args:(arg3 (Some "old", C.basic_string) (Some "new", C.basic_string) (Some "reason", C.basic_string))
  in
  let%lwt changes = OBus_signal.connect (OBus_signal.make state_changed vm) in
  Lwt_react.E.keep (Lwt_react.E.map (fun (before, after, reason) -> printf "VM web: %s -> %s (%s)\n%!" before after reason) changes);
  let%lwt _ = run vm vm_interface "Start" (C.seq1 C.basic_boolean) false in
  let summary = C.structure (C.seq5 object_path C.basic_string C.basic_string C.basic_string C.basic_string) in
  let%lwt vms = call manager "org.xen.xcp.xenopsd1.Manager" "ListVms" ~i_args:C.seq0 ~o_args:(C.seq1 (C.array summary)) () in
  List.iter (fun (_path, _uuid, name, state, _backend) -> printf "VM %s %s\n" name state) vms;

  let%lwt () =
    try%lwt
      let%lwt _ = run vm vm_interface "Start" (C.seq1 C.basic_boolean) false in
      Lwt.return ()
    with OBus_error.DBus (name, message) -> Lwt.return (printf "%s %s\n" name message)
  in
  let%lwt () =
    let i_args = C.seq1 C.basic_string and o_args = C.seq1 object_path in
    try%lwt
      let%lwt _ = call manager "org.xen.xcp.xenopsd1.Manager" "LookupByName" ~i_args ~o_args "nobody" in
      Lwt.return ()
    with OBus_error.DBus (name, message) -> Lwt.return (printf "%s %s\n" name message)
  in

  let%lwt _ = run vm vm_interface "Stop" (C.seq1 C.basic_uint32) 1000l in
  let%lwt _ = run vm vm_interface "Destroy" C.seq0 () in
  let%lwt _ = run (proxy bus storage vdi) "org.xen.xcp.storage1.VDI" "Destroy" C.seq0 () in
  let%lwt _ = run sr "org.xen.xcp.storage1.SR" "Destroy" C.seq0 () in
  Lwt.return ()

let () = Lwt_main.run (main Sys.argv.(1) Sys.argv.(2))
