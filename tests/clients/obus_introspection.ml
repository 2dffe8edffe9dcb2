(* SPDX-License-Identifier: LGPL-2.1-or-later *)

(* Prints the names of the interfaces in introspection data, as obus reads it from standard input. *)
let () =
  let interfaces, _children = OBus_introspect.input (Xmlm.make_input ~strip:true (`Channel stdin)) in
  List.iter (fun (name, _members, _annotations) -> print_endline name) interfaces
