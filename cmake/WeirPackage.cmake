# The Debian package: `scripts/dev package`. It holds the binary, the default config as a conffile, the
# systemd unit, the documents and the bill of materials.
include(GNUInstallDirs)
set(files ${CMAKE_SOURCE_DIR}/scripts/package)

install(TARGETS weir RUNTIME DESTINATION bin)
install(FILES ${CMAKE_SOURCE_DIR}/config/weir.service DESTINATION /lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/config/alerts.yml ${CMAKE_SOURCE_DIR}/config/dashboard.json DESTINATION share/weir)
install(FILES ${files}/sysusers.conf DESTINATION lib/sysusers.d RENAME weir.conf)
install(FILES README.md CHANGELOG.md ${files}/copyright DESTINATION share/doc/weir)
install(DIRECTORY docs/ DESTINATION share/doc/weir/docs FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
# Written by scripts/dev package before this runs.
install(FILES ${CMAKE_BINARY_DIR}/sbom.json DESTINATION share/doc/weir OPTIONAL)

# Installed, the store lies where the unit lets it write; in a checkout, beside the config file.
set(node_config ${CMAKE_SOURCE_DIR}/config/weir.toml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${node_config})
file(READ ${node_config} text)
string(REPLACE "\n# data_dir = \"data\"\n" "\ndata_dir = \"/var/lib/weir\"\n" installed_text "${text}")
if(installed_text STREQUAL text)
  message(FATAL_ERROR "config/weir.toml has no line '# data_dir = \"data\"', which the package points to /var/lib/weir")
endif()
file(WRITE ${CMAKE_BINARY_DIR}/package/weir.toml "${installed_text}")
install(FILES ${CMAKE_BINARY_DIR}/package/weir.toml DESTINATION /etc/weir PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME weir)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Weir authors <weir@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_SOURCE_DIR}/build/package)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${files}/postinst ${files}/prerm ${files}/postrm ${files}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "multi-tenant log push service")
set(CPACK_PACKAGE_DESCRIPTION
"Takes event logs in over HTTP, keeps them durably in one buffer per job and
pushes them in batches to the destination each customer configured. An event
that was acknowledged is delivered, or is accounted for by reason.")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
include(CPack)
