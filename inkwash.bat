@echo off
rem Runs Inkwash from a clone, in an environment of its own that is made on first use (see tools\bootstrap).
setlocal
set "ROOT=%~dp0"
set "PY="
if defined INKWASH_PYTHON (
    set "PY="%INKWASH_PYTHON%""
    goto run
)
for %%V in (3.12 3.13 3.11) do (
    if not defined PY (
        py -%%V -I -c "pass" >nul 2>nul && set "PY=py -%%V"
    )
)
if not defined PY (
    python -I -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >nul 2>nul && set "PY=python"
)
if not defined PY (
    echo error: Inkwash needs Python 3.11, 3.12 or 3.13, and none was found. 1>&2
    echo   what to do: winget install Python.Python.3.12   ^(or the installer from https://www.python.org/downloads/^) 1>&2
    echo   A Python elsewhere: set INKWASH_PYTHON=C:\path\to\python.exe 1>&2
    exit /b 1
)
:run
%PY% -I "%ROOT%tools\bootstrap" run -m inkwash %*
exit /b %ERRORLEVEL%
